"""The stride of a map, from its size and that of the image."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

Size = tuple[int, int]
DENSE_HEADS = 'rpn_head', 'bbox_head'


def level_strides(levels: Sequence[Tensor], size: Size) -> list[int | None]:
    """n of the stride 2^n of each level; None where none fits. Of levels of one size each is taken for the next."""
    found: list[int | None] = []
    for level in levels:
        fitting = [n for n in range(1, 9) if tuple(level.shape[2:]) == cells(size, 2**n) and n not in found]
        found.append(fitting[0] if fitting else None)
    return found


def strides_of(levels: Sequence[Tensor], size: Size, known: Sequence[float] = ()) -> list[float | None]:
    """The stride of each level in pixels of the image; None of vectors.

    A power of two that gives the level's size, rounded up. Where it does not divide the image, a stride of the
    detector's anchors that gives the level's size goes before it; where none fits, the image's width over the level's.

    Args:
        levels: ``(N, C, H, W)`` each.
        size: (height, width) of the image.
        known: strides of the detector's anchors (:func:`anchor_strides`).

    Example:
        >>> import torch
        >>> strides_of([torch.zeros(1, 8, side, side) for side in (38, 3, 1)], (300, 300), (8, 100, 300))
        [8, 100, 300.0]
        >>> strides_of([torch.zeros(1, 8, 4, 3), torch.zeros(1, 8, 200, 133)], (500, 333))
        [128, 2.5037593984962405]
    """
    return [_stride(level, size, power, known) for level, power in zip(levels, level_strides(levels, size))]


def anchor_strides(detector: Any) -> list[float]:
    """Strides of the anchors or points of the detector's dense heads, those of both directions being the same."""
    generators = [getattr(getattr(detector, head, None), 'prior_generator', None) for head in DENSE_HEADS]
    pairs = [stride if isinstance(stride, (tuple, list)) else (stride, stride)
             for generator in generators for stride in getattr(generator, 'strides', ())]
    return [float(pair[0]) for pair in pairs if pair[0] == pair[1]]


def cells(size: Size, stride: float) -> Size:
    """(height, width) of a map of so large an image, rounded up."""
    return int(-(-size[0] // stride)), int(-(-size[1] // stride))


def _stride(level: Tensor, size: Size, power: int | None, known: Sequence[float]) -> float | None:
    if level.dim() != 4:
        return None
    shape = tuple(level.shape[2:])
    fitting = [stride for stride in known if cells(size, stride) == shape]
    if power is not None and (not fitting or 2**power in fitting or not any(side % 2**power for side in size)):
        return 2**power
    even = not any(side % own for side, own in zip(size, shape))
    return fitting[0] if fitting and not (power is None and even) else size[1] / shape[1]
