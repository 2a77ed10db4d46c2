"""ATSS's head."""
from __future__ import annotations

from mmdet.models.dense_heads.anchor_head import AnchorHead
from mmdet.utils import reduce_mean
from torch import Tensor

from kddet.recording.recorder import Pyramid, Records

from .base import Regression
from .dense import DenseReader, gathered, rows


class ATSSReader(DenseReader):
    """Deltas to the one anchor of a cell; weighted by centerness and divided by its sum, as the head's own loss is."""

    family = AnchorHead

    def boxes(self, student: Records, own: Pyramid, other: Pyramid, positive: Tensor, paired: Tensor) -> Regression:
        calls = student[f'{self.tap}.loss_bbox']  # of levels with positives, on decoded boxes
        target = gathered(calls, 1, 'target', own[0], 4)
        centerness = gathered(calls, 2, 'weight', own[0])
        return Regression(rows(own, 4)[positive], self.teacher_rows(other, own, 4)[positive],
                          self.head.bbox_coder.encode(self.priors(own)[positive], target), centerness * paired,
                          reduce_mean(centerness.sum()).clamp(min=1))
