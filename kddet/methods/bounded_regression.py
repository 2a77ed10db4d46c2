"""Box regression bounded by the teacher."""
from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from kddet.heads import HeadReader
from kddet.losses import teacher_bounded_l2_loss
from kddet.recording.recorder import Records
from kddet.registry import MODELS

from .base import HeadMethod


@MODELS.register_module()
class TeacherBoundedRegression(HeadMethod):
    r"""Penalise the boxes of the student's positives where the teacher's, of the same anchor or RoI, are better.

    Chen et al., *Learning Efficient Object Detection Models with Knowledge Distillation*, NIPS 2017, Sec. 3.3: added
    to the student's own regression loss, in the RPN and the RoI head, weighted and divided as that is. Boxes are
    compared in the head's regression space: normalised deltas to anchors and RoIs, where a class-aware head gives the
    four columns of the ground-truth class; for FCOS and GFL, which the paper does not treat, distances to the four
    sides in strides (GFL: the means of its distributions).

    Args:
        margin: the paper's :math:`m`, for which it gives no value: how much lower than the teacher's the student's
            squared error must be to cost nothing.
        bounded: False takes the squared distance to the teacher's boxes instead, the plain L2 of the paper's Table 4.
        heads: which of ``'dense'``, ``'rpn'``, ``'roi'``; None takes all of the student's.
        loss_weight: the paper's :math:`\nu`.
    """

    reads_boxes = True

    def __init__(self, margin: float = 0.0, bounded: bool = True, heads: Sequence[str] | None = None,
                 loss_weight: float = 0.5) -> None:
        super().__init__(heads, loss_weight)
        if not margin >= 0:
            raise ValueError(f'margin is {margin}, it must be 0 or more')
        self.margin, self.bounded = margin, bounded

    def forward(self, student: Records, teacher: Records, samples: list) -> dict[str, Tensor]:
        return {f'loss{reader.suffix}': self._bounded(reader, student, teacher)
                for reader in self.readers if reader.fired(student)}

    def _bounded(self, reader: HeadReader, student: Records, teacher: Records) -> Tensor:
        boxes = reader.regression(student, teacher)
        target = boxes.target if self.bounded else boxes.teacher
        return reader.factor * teacher_bounded_l2_loss(boxes.student, boxes.teacher, target, margin=self.margin,
                                                       weight=boxes.weights, avg_factor=boxes.avg_factor)
