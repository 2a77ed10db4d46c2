"""Detections of a model that gives maps: those of a dense head are decoded as the student decodes its own."""
from __future__ import annotations

import copy
from typing import Any

from kddet.heads import find_heads
from kddet.heads.dense import DenseReader
from kddet.recording.probe import probe
from kddet.recording.recorder import Pyramid

from .detector import ExternalDetector

TAP = 'bbox_head'


class Decoder:
    """Scores and boxes, laid out as those of the student's dense head, to detections: by that head's own code.

    A factor beside the scores (the centerness of FCOS and ATSS) is no output of an external model, and left out.

    Args:
        student: a detector; of its head nothing is read but how it decodes.
        detector: that gives ``cls`` and ``reg``.

    Raises:
        ValueError: the student has no such head, or the maps are not those of one.
    """

    def __init__(self, student: Any, detector: ExternalDetector) -> None:
        self.student = student
        if TAP not in detector.heads:
            raise ValueError(f'the teacher {detector.name} gives {detector.tapped()} and no detections; maps cls and '
                             "reg, as the student's dense head gives them, are measured")
        reader, = find_heads(student, detector, ['dense'], boxes=True)
        assert isinstance(reader, DenseReader)
        reader.check_layout(probe(student, [TAP], 'student'), probe(detector, [TAP], 'teacher'))
        self.head = copy.copy(getattr(student, TAP))
        self.head.num_classes, self.head.cls_out_channels = reader.class_counts[1], reader.widths[1]

    def __call__(self, maps: tuple[Pyramid, Pyramid], samples: list) -> list:
        """Detections of each image in its own pixels.

        Args:
            maps: scores ``(N, A * C, H, W)`` and boxes ``(N, A * 4, H, W)``, a pyramid each.
            samples: N data samples, of the images that the maps were made of.
        """
        scores, boxes = ([level.float() for level in levels] for levels in maps)
        return self.head.predict_by_feat(scores, boxes, batch_img_metas=[sample.metainfo for sample in samples],
                                         rescale=True)
