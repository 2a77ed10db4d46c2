"""Readers of detection heads, one file a family: predictions of both models beside what the student was assigned."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmdet.models.dense_heads import ATSSHead, FCOSHead, GFLHead, RPNHead
from mmdet.models.dense_heads.anchor_head import AnchorHead
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from torch import nn

from kddet.recording.rois import check_stages
from kddet.teachers.external.detector import ExternalHead

from .anchor import AnchorReader, RPNReader
from .atss import ATSSReader
from .base import Classification, HeadReader, Regression, same_code
from .dense import DenseReader
from .fcos import FCOSReader
from .gfl import GFLReader
from .roi import RoIReader

__all__ = ['Classification', 'DenseReader', 'HEADS', 'HeadReader', 'Regression', 'find_heads', 'heads_of']

HEADS = ('dense', 'rpn', 'roi')
DENSE_LOSSES = ('loss_by_feat', 'get_targets')
FAMILIES: dict[type, tuple[type[DenseReader], tuple[str, ...]]] = {  # the head's class, its reader, its loss's code
    RPNHead: (RPNReader, (*DENSE_LOSSES, 'loss_by_feat_single')),
    ATSSHead: (ATSSReader, (*DENSE_LOSSES, 'loss_by_feat_single', 'centerness_target')),
    GFLHead: (GFLReader, (*DENSE_LOSSES, 'loss_by_feat_single')),
    FCOSHead: (FCOSReader, (*DENSE_LOSSES, 'centerness_target')),
    AnchorHead: (AnchorReader, (*DENSE_LOSSES, 'loss_by_feat_single')),
}
BOX_LOSSES = ('loss', 'loss_and_target')


def find_heads(student: nn.Module, teacher: nn.Module, names: Sequence[str] | None = None,
               boxes: bool = False) -> list[HeadReader]:
    """Readers of the heads that both detectors have.

    Args:
        names: which of ``'dense'``, ``'rpn'`` and ``'roi'``; None takes all that the student has.
        boxes: boxes will be read, too, so that both must have them in the same regression space.

    Raises:
        ValueError: a head is missing, of a family that is not read, or not the teacher's.
    """
    own = heads_of(student)
    chosen = list(own) if names is None else list(names)
    if not chosen or (wrong := [name for name in chosen if name not in HEADS]):
        raise ValueError(f'heads={list(names or ())}: {", ".join(wrong) if chosen else "none"} chosen, '
                         f'there are {", ".join(HEADS)}')
    if missing := [name for name in chosen if name not in own]:
        raise ValueError(f'heads {missing} are not in the student ({type(student).__name__}), which has {list(own)}')
    other = heads_of(teacher)
    if missing := [name for name in chosen if name not in other]:
        raise ValueError(f'the student ({type(student).__name__}) has heads {list(own)}, the teacher '
                         f'({type(teacher).__name__}) has {list(other)}: {", ".join(missing)} of the student cannot be '
                         f'compared; choose among what both have with heads=[...], or compare features')
    readers: list[HeadReader] = [reader for name in chosen for reader in (
        _roi_readers(student, teacher) if name == 'roi' else
        [_dense_reader(name, own[name], getattr(student, own[name]), getattr(teacher, other[name]))])]
    if boxes:
        for reader in readers:
            reader.check_boxes()
    return readers


def heads_of(detector: Any) -> dict[str, str]:
    """``{name: tap}``; two-stage detectors have ``bbox_head`` inside ``roi_head``."""
    taps = dict(dense='bbox_head', rpn='rpn_head', roi='roi_head')
    children = dict(detector.named_children())
    return {name: tap for name, tap in taps.items() if tap in children}


def _dense_reader(name: str, tap: str, student: Any, teacher: Any) -> DenseReader:
    external = isinstance(teacher, ExternalHead)
    if not external and not any(
            same_code(teacher, kind, losses) or same_code(teacher, kind, ('forward', 'forward_single'))
            for kind, (_, losses) in FAMILIES.items()):
        raise ValueError(f'{tap} of the teacher is a {type(teacher).__name__}, whose maps need not mean what those of '
                         f'{", ".join(kind.__name__ for kind in FAMILIES)} do: compare features')
    for kind, (reader, losses) in FAMILIES.items():
        if same_code(student, kind, losses):
            found = reader(name, tap, student, student if external else teacher)
            if external:
                found.read_external(teacher)
            found.suffix = '' if name == 'dense' else f'_{name}'
            if name == 'rpn' and 'rpn' not in found.classification_loss:  # as TwoStageDetector.loss renames them
                found.classification_loss = f'rpn_{found.classification_loss}'
            return found
    raise ValueError(f'{tap} of the student is a {type(student).__name__}, whose losses are not those of '
                     f'{", ".join(kind.__name__ for kind in FAMILIES)}; kddet does not read what it was assigned: '
                     'compare features, or add a reader to kddet.heads')


def _roi_readers(student: Any, teacher: Any) -> list[HeadReader]:
    check_stages(student, teacher)
    heads = student.roi_head.bbox_head, teacher.roi_head.bbox_head
    if not isinstance(heads[0], nn.ModuleList):
        return [_roi_reader('roi_head.bbox_head', *heads)]
    weights = student.roi_head.stage_loss_weights
    return [_roi_reader(f'roi_head.bbox_head.{stage}', *pair, stage, weights[stage])
            for stage, pair in enumerate(zip(*heads))]


def _roi_reader(tap: str, student: Any, teacher: Any, *stage: Any) -> RoIReader:
    if not same_code(student, BBoxHead, BOX_LOSSES):
        raise ValueError(f'{tap} of the student is a {type(student).__name__}, whose losses are not those of BBoxHead; '
                         'kddet does not read what it was assigned: compare features, or add a reader to kddet.heads')
    return RoIReader(tap, student, teacher, *stage)
