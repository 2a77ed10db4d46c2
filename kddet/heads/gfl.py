"""Generalized focal loss's head: distances to the four sides as distributions."""
from __future__ import annotations

from typing import Any

import torch
from mmdet.models.dense_heads import GFLHead
from mmdet.utils import reduce_mean
from torch import Tensor

from kddet.recording.recorder import Pyramid, Records

from .base import Regression
from .dense import DenseReader, gathered, rows


class GFLReader(DenseReader):
    """Expected distances to the four sides in strides; the bins of teacher and student may differ in number.

    Weighted by the student's score and divided by the sum of these weights, as the head's own loss is.
    """

    family = GFLHead

    def __init__(self, name: str, tap: str, student: Any, teacher: Any) -> None:
        super().__init__(name, tap, student, teacher)
        self.student_taps = (*self.student_taps, f'{tap}.loss_dfl')

    def boxes(self, student: Records, own: Pyramid, other: Pyramid, positive: Tensor, paired: Tensor) -> Regression:
        weights = gathered(student[f'{self.tap}.loss_bbox'], 2, 'weight', own[0])
        student_logits, teacher_logits = rows(own, own[0].shape[1]), self.teacher_rows(other, own, other[0].shape[1])
        target = gathered(student[f'{self.tap}.loss_dfl'], 1, 'target', own[0], 4)
        return Regression(expected_distances(student_logits[positive]), expected_distances(teacher_logits[positive]),
                          target, weights * paired, reduce_mean(weights.sum()).clamp(min=1))


def expected_distances(logits: Tensor) -> Tensor:
    """Distributions ``(P, 4 * (n + 1))`` over 0 ... n strides -> their means ``(P, 4)`` in strides."""
    distribution = logits.reshape(len(logits), 4, -1 if logits.numel() else logits.shape[1] // 4).float().softmax(-1)
    steps = torch.arange(distribution.shape[-1], dtype=torch.float32, device=logits.device)
    return (distribution * steps).sum(-1)  # not a product of matrices, which autocast would round
