"""The methods: what each reads of which heads and levels, and what it trains."""
from __future__ import annotations

from typing import Any

from torch import nn

from kddet.distiller import Distiller
from kddet.heads import find_heads, heads_of
from kddet.methods.base import DistillMethod
from kddet.recording.taps import module_of
from kddet.teachers.external.detector import ExternalDetector
from kddet.teachers.settings import ONE

from .report import NOTE, OK, Line

HEADS = 'bbox_head', 'rpn_head', 'roi_head'
FEATURES = 'backbone', 'neck'


def method_line(name: str, method: Any, student: nn.Module, teacher: str = ONE) -> Line:
    """One method: its weight, what it trains, what it compares.

    Args:
        teacher: the name of the one that it reads, where there are several.
    """
    added = sum(parameter.numel() for parameter in method.parameters() if parameter.requires_grad)
    share = added / sum(parameter.numel() for parameter in student.parameters())
    trains = f'trains {added:,} parameters, {share:.1%} of the student\'s, left out of exports' if added else \
        'trains nothing of its own'
    source = f' from {teacher}' if teacher else ''
    text = f'{type(method).__name__}{source}, weight {method.loss_weight:g}, {trains}'
    if not isinstance(method, DistillMethod):
        return Line(name, OK, text)
    details = list(method.compared) or [_read(method)]
    details += [f'left out: {line}' for line in method.unpaired]
    if not method.loss_weight:
        why = f' with {method.switch}={getattr(method, method.switch):g}'
        return Line(name, NOTE, f'{text}: it is never on{why}', f'{name}.{method.switch}', details)
    if method.unequal:
        return Line(name, NOTE, f'{text}: levels of different stride meet, {", ".join(method.unequal)}',
                    f'compare maps of one stride: {name}.tap and {name}.teacher_tap; tools/inspect_model.py --teacher '
                    'prints the strides of both', details)
    return Line(name, NOTE if method.unpaired else OK, text, details=details)


def heads_line(model: Distiller, name: str = ONE) -> Line:
    """The heads of the student and of a teacher, and who reads them.

    Args:
        name: of the teacher, where there are several.
    """
    teacher = model.teachers.get(name)
    readers = [own for own, method in model.methods.items()
               if model.teacher_of(own) is teacher and reads_heads(method)]
    text = f'student {_heads(model.student)}'
    if teacher is None:
        return Line('heads', OK, text)
    text += f', teacher {_heads(teacher.detector)}'
    if readers:
        return Line('heads', OK, f'{text}; read by {", ".join(readers)}')
    try:
        find_heads(model.student, teacher.detector)
    except Exception as error:  # heads of the user's own may be anything at all
        return Line('heads', OK, f'{text}; read by no method, and no method could: {str(error).partition(";")[0]}')
    return Line('heads', OK, f'{text}; read by no method')


def reads_heads(method: DistillMethod) -> bool:
    return any(module_of(tap).partition('.')[0] in HEADS for tap in method.student_taps)


def _read(method: DistillMethod) -> str:
    sides = [f'{", ".join(taps)} of the {owner}' for owner, taps in
             (('student', method.student_taps), ('teacher', method.teacher_taps)) if taps]
    return f'reads {" and ".join(sides) or "nothing"}'


def _heads(detector: Any) -> str:
    if isinstance(detector, ExternalDetector):
        return f'{detector.name} ({", ".join(word for word in detector.given if word not in FEATURES) or "no head"})'
    kinds = [_kind(detector.get_submodule(tap)) for tap in heads_of(detector).values()]
    return f'{type(detector).__name__} ({", ".join(kinds) or "no head that is known"})'


def _kind(head: Any) -> str:
    """A RoI head is known by what scores its boxes."""
    inner: Any = getattr(head, 'bbox_head', None)
    if inner is None:
        return type(head).__name__
    first = inner[0] if isinstance(inner, nn.ModuleList) else inner
    return f'{type(head).__name__} with {type(first).__name__}'
