"""Adaptation layers: bring a student feature to the teacher's width. Dropped from every exported student."""
from __future__ import annotations

from typing import cast

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from kddet.registry import MODELS


@MODELS.register_module()
class Adapter(BaseModule):
    """One convolution for maps ``(N, C, H, W)``, one linear layer for vectors ``(R, C)``.

    Chen et al. (NIPS 2017, Sec. 3.4) adapt with a 1x1 convolution, or a fully connected layer for vectors, and find
    it to help even where the widths agree.

    Args:
        in_channels: the student's width.
        out_channels: the teacher's width.
        vector: the feature is ``(R, C)``.
        kernel_size: of the convolution, odd; spatial size is kept.
        relu: end with a ReLU, for teacher features that are post-activation.
        identity_init: begin as the identity, so that training starts from comparing the features as they are; the
            widths must agree. Otherwise the weights begin at random (Xavier).
    """

    def __init__(self, in_channels: int, out_channels: int, *, vector: bool = False, kernel_size: int = 1,
                 relu: bool = False, identity_init: bool = False) -> None:
        if identity_init and in_channels != out_channels:
            raise ValueError(f'identity_init needs equal widths, the student has {in_channels} channels and the '
                             f'teacher {out_channels}')
        if kernel_size % 2 == 0:
            raise ValueError(f'kernel_size is {kernel_size}, it must be odd to keep the spatial size')
        super().__init__(init_cfg=dict(type='Xavier', layer=['Conv2d', 'Linear'], distribution='uniform'))
        self.project: nn.Linear | nn.Conv2d = (nn.Linear(in_channels, out_channels) if vector else
                                   nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2))
        self.relu, self.identity_init = relu, identity_init

    def init_weights(self) -> None:
        super().init_weights()
        if self.identity_init:
            weight = self.project.weight
            nn.init.eye_(weight) if weight.dim() == 2 else nn.init.dirac_(weight)

    def forward(self, feature: Tensor) -> Tensor:
        feature = self.project(feature)
        return feature.relu() if self.relu else feature

    def at(self, feature: Tensor, mask: Tensor) -> Tensor:
        """What :meth:`forward` gives at some cells, ``(M, out_channels)``, convolved there alone.

        Args:
            feature: ``(N, C, H, W)``.
            mask: ``(N, H, W)``, bool, true at M cells; their order is that of ``nonzero``.
        """
        layer = cast(nn.Conv2d, self.project)
        side = layer.kernel_size[0]
        padded = F.pad(feature, [side // 2] * 4)
        height, width = padded.shape[2:]
        image, row, column = mask.nonzero(as_tuple=True)
        steps = torch.arange(side, device=feature.device)
        corner = (image * height + row) * width + column
        cells = (corner[:, None, None] + steps[:, None] * width + steps).reshape(-1)
        patches = padded.permute(0, 2, 3, 1).reshape(-1, feature.shape[1]).index_select(0, cells)
        weight = layer.weight.permute(2, 3, 1, 0).flatten(0, 2)
        rows = patches.reshape(len(corner), len(weight)) @ weight + cast(Tensor, layer.bias)
        return rows.relu() if self.relu else rows


def in_words(adapter: nn.Module) -> str:
    """What an adapter is, for the report before training."""
    if isinstance(adapter, nn.Identity):
        return 'as it is'
    if not isinstance(adapter, Adapter):
        return type(adapter).__name__
    layer = adapter.project
    size = f'{"x".join(map(str, layer.kernel_size))} convolution' if isinstance(layer, nn.Conv2d) else 'linear layer'
    return size + (' and ReLU' if adapter.relu else '')


def build_adapter(cfg: dict | None, student: Tensor, teacher: Tensor, where: str) -> nn.Module:
    """The adapter between two probe features; identity for ``cfg=None``.

    Args:
        cfg: keyword arguments of :class:`Adapter`, or a config with a ``type`` of the user's own.
        student, teacher: features of a probe forward, ``(N, C, H, W)`` or ``(R, C)``.
        where: what they are, for the message.
    """
    widths = student.shape[1], teacher.shape[1]
    if student.dim() != teacher.dim():
        raise ValueError(f'{where}: the student gives {tuple(student.shape)}, the teacher {tuple(teacher.shape)}; '
                         'maps compare with maps (N, C, H, W) and vectors with vectors (R, C)')
    if cfg is None:
        if widths[0] != widths[1]:
            raise ValueError(f'{where}: the student has {widths[0]} channels and the teacher {widths[1]}; '
                             'without an adapter they must agree: leave `adapter` at its default')
        return nn.Identity()
    kind = dict(type='kddet.Adapter', vector=student.dim() == 2)
    if 'type' in cfg:
        kind = {}
    return MODELS.build(dict(kind, **cfg, in_channels=widths[0], out_channels=widths[1]))
