"""The label encoder: label maps in, features of the widths and strides of a backbone out."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from mmengine.model import BaseModule, ModuleList, Sequential
from torch import Tensor, nn
from torch.nn import functional as F

from kddet.registry import MODELS

from .maps import LabelMap, check_classes

STRIDES = (4, 8, 16, 32)


@MODELS.register_module()
class LabelEncoder(BaseModule):
    """A small residual network without normalisation, as in the authors' code of LabelEnc (arXiv:2007.03282).

    A 7x7 convolution of stride 2 without ReLU, then bottlenecks; 9,910,272 parameters for 80 classes.

    Args:
        num_classes: K, channels of the label maps.
        out_channels: of the stages of stride 4, 8, 16 and 32: the widths of the detector's backbone, so that the
            encoder's neck is one like the detector's. Fewer than four are the coarsest ones.
        mid_channels: of the 3x3 convolutions of the stages; None takes a quarter of ``out_channels``.
        num_blocks: of the stages.
        stem_channels: of the first convolution.
    """

    def __init__(self, num_classes: int, out_channels: Sequence[int] = (256, 512, 1024, 2048),
                 mid_channels: Sequence[int] | None = None, num_blocks: Sequence[int] = (1, 2, 2, 1),
                 stem_channels: int = 128) -> None:
        super().__init__()
        if not 1 <= len(out_channels) <= len(STRIDES):
            raise ValueError(f'out_channels has {len(out_channels)} stages, a label encoder has 1 to {len(STRIDES)}')
        if min(num_classes, stem_channels, *out_channels) < 1:
            raise ValueError(f'num_classes {num_classes}, stem_channels {stem_channels} and out_channels '
                             f'{list(out_channels)} must be greater than 0')
        self.num_classes, self.outputs = num_classes, len(out_channels)
        wide = [out_channels[0]] * (len(STRIDES) - len(out_channels)) + list(out_channels)
        narrow = list(mid_channels or [width // 4 for width in wide])
        if len(narrow) != len(STRIDES) or len(num_blocks) != len(STRIDES) or min(*narrow, *num_blocks) < 1:
            raise ValueError(f'mid_channels {narrow} and num_blocks {list(num_blocks)} must be {len(STRIDES)} numbers '
                             'greater than 0, one a stage')
        self.stem = nn.Conv2d(num_classes, stem_channels, 7, stride=2, padding=3)
        self.stages = ModuleList()
        width = stem_channels
        for out, mid, count in zip(wide, narrow, num_blocks):
            self.stages.append(Sequential(_Bottleneck(width, mid, out, 2),
                                          *(_Bottleneck(out, mid, out, 1) for _ in range(count - 1))))
            width = out

    @classmethod
    def like(cls, weights: Mapping[str, Tensor], outputs: int) -> LabelEncoder:
        """The encoder that weights of :meth:`state_dict` fit."""
        stem_channels, num_classes = weights['stem.weight'].shape[:2]
        blocks = [sorted({int(key.split('.')[2]) for key in weights if key.startswith(f'stages.{stage}.')})
                  for stage in range(len(STRIDES))]
        first = [weights[f'stages.{stage}.0.conv3.weight'].shape for stage in range(len(STRIDES))]
        return cls(num_classes, [shape[0] for shape in first][-outputs:], [shape[1] for shape in first],
                   [len(own) for own in blocks], stem_channels)

    def forward(self, maps: Tensor | Sequence[LabelMap]) -> tuple[Tensor, ...]:
        """Label maps, dense ``(N, K, H, W)`` or the channels that are present, to a pyramid like the backbone's."""
        feature = self.stem(maps) if isinstance(maps, Tensor) else self.present_stem(maps)
        levels = []
        for stage in self.stages:
            feature = stage(feature)
            levels.append(feature)
        return tuple(levels[-self.outputs:])

    def present_stem(self, maps: Sequence[LabelMap]) -> Tensor:
        """The stem of a batch, picture by picture: channels that are zero add nothing to a convolution.

        Without gradients the pictures go into one tensor one by one, as all of them would take its memory again.
        """
        if torch.is_grad_enabled():
            return torch.cat([self._picture_stem(own) for own in maps])
        batch: Tensor | None = None
        for index, own in enumerate(maps):
            one = self._picture_stem(own)
            batch = one.new_empty(len(maps), *one.shape[1:]) if batch is None else batch
            batch[index] = one[0]
            del one  # before the next is made
        return torch.as_tensor(batch)

    def _picture_stem(self, own: LabelMap) -> Tensor:
        classes, maps = own
        check_classes(classes, self.num_classes)
        if not len(classes):  # one empty channel, for a gradient to every parameter
            classes, maps = classes.new_zeros(1), maps.new_zeros(1, *maps.shape[1:])
        return F.conv2d(maps[None].to(self.stem.weight.dtype), self.stem.weight[:, classes], self.stem.bias, stride=2,
                        padding=3)


class _Bottleneck(BaseModule):

    def __init__(self, width: int, mid: int, out: int, stride: int) -> None:
        super().__init__(dict(type='Kaiming', layer='Conv2d', a=1, mode='fan_in', nonlinearity='leaky_relu',
                              distribution='uniform'))
        self.conv1 = nn.Conv2d(width, mid, 1)
        self.conv2 = nn.Conv2d(mid, mid, 3, stride=stride, padding=1)
        self.conv3 = nn.Conv2d(mid, out, 1)
        self.project = nn.Conv2d(width, out, 1, stride=stride, bias=False) if width != out or stride > 1 else None

    def forward(self, feature: Tensor) -> Tensor:
        inner = self.conv2(self.conv1(feature).relu()).relu()
        shortcut = feature if self.project is None else self.project(feature)
        return (self.conv3(inner) + shortcut).relu()
