"""Box heads on RoIs: Faster, Mask and Cascade R-CNN."""
from __future__ import annotations

from typing import Any

import torch
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from torch import Tensor

from kddet.recording.recorder import Records
from kddet.recording.rois import EXTRACTOR

from .base import Classification, HeadReader, Regression, Scores, argument


class RoIReader(HeadReader):
    """The student's sampled RoIs, scored by both models: the Distiller replays them on the teacher.

    Boxes of class-aware heads are the four columns of the ground-truth class, in both models.

    Args:
        stage: of a cascade, None for a single stage.
    """

    family = BBoxHead

    def __init__(self, tap: str, student: Any, teacher: Any, stage: int | None = None, factor: float = 1.0) -> None:
        super().__init__('roi', tap, student, teacher)
        for owner, head in (('student', student), ('teacher', teacher)):
            if getattr(head, 'custom_cls_channels', False) or getattr(head.loss_cls, 'use_sigmoid', False):
                raise ValueError(f'{tap} of the {owner}: {type(head.loss_cls).__name__} has no softmax over C + 1 '
                                 'classes; kddet reads box heads with a softmax')
        self.rois = EXTRACTOR if stage is None else f'{EXTRACTOR}.{stage}'
        self.student_taps = (*self.student_taps, self.rois)
        self.suffix = '_roi' if stage is None else f'_roi_s{stage}'
        self.classification_loss = 'loss_cls' if stage is None else f's{stage}.loss_cls'
        self.factor = float(factor)

    def classification(self, student: Records, teacher: Records) -> Classification:
        call = student[f'{self.tap}.loss_cls'][0]
        weights = argument(call, 2, 'weight')
        scores = (records.pyramid(self.tap, 0)[0][:, None, :, None] for records in (student, teacher))
        return self.shared(Classification(
            (Scores(*scores),), argument(call, 1, 'target'), weights, softmax=True, num_samples=(weights > 0).sum(),
            avg_factor=call.kwargs['avg_factor']), teacher)

    def regression(self, student: Records, teacher: Records) -> Regression:
        labels = argument(student[f'{self.tap}.loss_cls'][0], 1, 'target')
        positive = self.positives(labels)
        own = _of_class(student.pyramid(self.tap, 1)[0], positive, labels)
        other = self._of_the_teacher(teacher, positive, labels)
        known = self.known(labels, teacher)[positive]
        calls = student[f'{self.tap}.loss_bbox']
        if not calls:  # no positive in the batch
            return Regression(own, other, other, other.new_zeros(0), 1.0)
        target, weights = argument(calls[0], 1, 'target'), argument(calls[0], 2, 'weight')
        if self.head.reg_decoded_bbox:
            rois = student[self.rois][0].args[1]
            target = self.head.bbox_coder.encode(rois[positive, 1:], target)
        return Regression(own, other, target, weights[:, 0] * known, calls[0].kwargs['avg_factor'])

    def _of_the_teacher(self, teacher: Records, positive: Tensor, labels: Tensor) -> Tensor:
        """Its boxes ``(P, 4)``: of its own class, where it has boxes by class."""
        class_map = self.class_map(teacher)
        if class_map is not None:
            table = torch.zeros(self.head.num_classes + 1, dtype=torch.long, device=labels.device)
            own, other = torch.tensor(class_map, device=labels.device).t()
            table[own] = other
            labels = table[labels]
        return _of_class(teacher.pyramid(self.tap, 1)[0], positive, labels)


def _of_class(boxes: Tensor, positive: Tensor, labels: Tensor) -> Tensor:
    """``(R, 4)`` or class-aware ``(R, 4 * C)`` -> ``(P, 4)``."""
    boxes, labels = boxes[positive], labels[positive]
    by_class = boxes.reshape(len(boxes), boxes.shape[1] // 4, 4)
    if by_class.shape[1] == 1:
        return by_class[:, 0]
    return by_class[torch.arange(len(labels), device=labels.device), labels]
