"""FCOS's head: points and distances to the four sides."""
from __future__ import annotations

import torch
from mmdet.models.dense_heads import FCOSHead
from torch import Tensor

from kddet.recording.recorder import Pyramid, Records

from .base import Regression, argument
from .dense import Assigned, DenseReader, gathered, rows


class FCOSReader(DenseReader):
    """Distances to the four sides in strides, weighted by centerness as the head's own loss is.

    In strides, so that the levels weigh alike and squared errors stay near 1; a head without ``norm_on_bbox`` has them
    in pixels itself. FCOS ignores nothing: every point has weight 1.
    """

    family = FCOSHead

    def assigned(self, student: Records) -> Assigned:
        call = student[f'{self.tap}.loss_cls'][0]  # all levels in one call
        labels = argument(call, 1, 'target')
        self.check_rows(student, labels.numel())
        return Assigned(labels, torch.ones_like(labels, dtype=torch.float32), call.kwargs['avg_factor'])

    def boxes(self, student: Records, own: Pyramid, other: Pyramid, positive: Tensor, paired: Tensor) -> Regression:
        calls = student[f'{self.tap}.loss_bbox']  # none without positives
        strides, other_strides = (self.strides(own, of_teacher)[positive] for of_teacher in (False, True))
        decoded = gathered(calls, 1, 'target', own[0], 4)
        target = self.head.bbox_coder.encode(self.priors(own)[positive], decoded)
        unit = 1 if self.head.norm_on_bbox else strides  # in training; in eval every FCOS gives pixels
        return Regression(rows(own, 4)[positive] / unit, self.teacher_rows(other, own, 4)[positive] / other_strides,
                          target / unit, gathered(calls, 2, 'weight', own[0]) * paired,
                          calls[0].kwargs['avg_factor'] if calls else 1.0)
