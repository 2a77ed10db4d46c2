"""Anchors of a detector's dense head or RPN, level by level."""
from __future__ import annotations

from typing import Any

import torch
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor


class LevelPriors:
    """The anchors ``(H * W * A, 4)`` of each level of a head; heads of points get one square a point.

    Args:
        head: a dense head or RPN with MMDet's ``prior_generator``.
        scale: side of the square of a point, in strides.
    """

    def __init__(self, head: Any, scale: float) -> None:
        generator: Any = getattr(head, 'prior_generator', None)
        if not hasattr(generator, 'single_level_grid_priors'):
            raise ValueError(f'{type(head).__name__} has no prior_generator with priors on a grid; kddet knows no '
                             'anchors of it')
        self.generator, self.scale = generator, scale
        self.strides = [stride[0] for stride in generator.strides]

    @classmethod
    def of_detector(cls, detector: Any, scale: float) -> LevelPriors:
        """Those of the RPN, or of the dense head."""
        head = getattr(detector, 'rpn_head', None) or getattr(detector, 'bbox_head', None)
        if head is None:
            raise ValueError(f'{type(detector).__name__} has neither rpn_head nor bbox_head, whose anchors are needed')
        return cls(head, scale)

    def level_of(self, stride: float | None, where: str) -> int:
        """Which level a feature is, by its stride in input pixels; None of vectors, which are on none."""
        if stride is None:
            raise ValueError(f'{where}: vectors have no anchors; tap maps (N, C, H, W)')
        if stride not in self.strides:
            raise ValueError(f'{where}: the map has a stride of {stride:g} pixels, the anchors of the head have '
                             f'{", ".join(map(str, self.strides))}; choose `levels` among them')
        return self.strides.index(stride)

    def anchors(self, level: int, size: tuple[int, int], device: torch.device) -> Tensor:
        """Anchors ``(H * W * A, 4)`` in input pixels, by cell, then anchor."""
        priors = get_box_tensor(self.generator.single_level_grid_priors(size, level, device=device))
        if priors.shape[1] == 4:
            return priors
        half = self.scale * self.strides[level] / 2
        return torch.cat([priors[:, :2] - half, priors[:, :2] + half], 1)
