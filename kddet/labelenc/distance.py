"""The distance between a detector's features and encoded labels: normalised level by level."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.model import Sequential
from torch import Tensor, nn
from torch.nn import functional as F

from kddet.losses.hint import at_least_float32
from kddet.losses.squares import sum_of_squares


class LabelAdapter(Sequential):
    """Three 3x3 convolutions with ReLU between them, shared by the levels; 1,770,240 parameters for 256 channels."""

    def __init__(self, channels: int) -> None:
        def conv() -> nn.Conv2d:
            return nn.Conv2d(channels, channels, 3, padding=1)
        super().__init__(conv(), nn.ReLU(), conv(), nn.ReLU(), conv())


def encoding_distance(features: Sequence[Tensor], encodings: Sequence[Tensor]) -> Tensor:
    r"""Mean squared difference of layer-normalised pyramids, all levels as one map.

    Hao et al., *LabelEnc* (arXiv:2007.03282): every image and level is normalised over channels and cells, without
    parameters, and the mean is over all elements of all levels, so that a level weighs as much as its area.

    Args:
        features: the adapted student's, ``(N, C, H, W)`` a level.
        encodings: of the labels, of the same shapes; detached.

    Returns:
        A float32 scalar, that scale and shift of a level of either side do not change; it can be differentiated once.

    Example:
        >>> import torch
        >>> feature = torch.arange(8.).reshape(1, 2, 2, 2)
        >>> bool(encoding_distance([feature], [3 * feature + 1]) < 1e-6)
        True
    """
    shapes = [[tuple(level.shape) for level in pyramid] for pyramid in (features, encodings)]
    if shapes[0] != shapes[1]:
        raise ValueError(f'the features are {shapes[0]}, the encodings {shapes[1]}; they must agree level by level')
    total = sum(sum_of_squares(_normalised(own) - _normalised(other.detach()))
                for own, other in zip(features, encodings))
    return torch.as_tensor(total) / sum(own.numel() for own in features)


def _normalised(level: Tensor) -> Tensor:
    return F.layer_norm(at_least_float32(level), level.shape[1:], eps=1e-5)
