"""RetinaNet's head, the RPN, and others that run AnchorHead's losses."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmdet.models.dense_heads.anchor_head import AnchorHead
from torch import Tensor

from kddet.recording.recorder import Call, Pyramid, Records

from .base import Regression, argument
from .dense import Assigned, DenseReader, rows


class AnchorReader(DenseReader):
    """Deltas to the anchors. Where the head's own loss compares decoded boxes, its targets are encoded again."""

    family = AnchorHead

    def boxes(self, student: Records, own: Pyramid, other: Pyramid, positive: Tensor, paired: Tensor) -> Regression:
        calls = student[f'{self.tap}.loss_bbox']
        width = self.head.bbox_coder.encode_size
        target = _concatenated(calls, 1, 'target')[positive]
        if self.head.reg_decoded_bbox:
            target = self.head.bbox_coder.encode(self.priors(own)[positive], target)
        return Regression(rows(own, width)[positive], self.teacher_rows(other, own, width)[positive], target,
                          _concatenated(calls, 2, 'weight')[positive][:, 0] * paired, calls[0].kwargs['avg_factor'])


class RPNReader(AnchorReader):
    """The RPN: one class, over the anchors that were sampled."""

    classification_loss = 'loss_rpn_cls'

    def class_map(self, teacher: Records) -> None:
        return None

    def of_all_images(self, student: Records, assigned: Assigned) -> Assigned:
        if student.unlabelled:
            raise ValueError(f'{self.tap} samples its anchors by labels and cannot be used with use_hard_loss=False; '
                             'leave it on, or choose other `heads`')
        return assigned


def _concatenated(calls: Sequence[Call], position: int, name: str) -> Tensor:
    return torch.cat([argument(call, position, name) for call in calls])
