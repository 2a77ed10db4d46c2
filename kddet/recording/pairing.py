"""Which level of a student meets which of a teacher's, in lines for a reader."""
from __future__ import annotations

from typing import Any

from kddet.levels import pair_levels

from .probe import probe
from .strides import Size


def pairing(student: Any, teacher: Any, size: Size) -> list[str]:
    """Lines on every level of the student's backbone and neck, where both detectors have these.

    Args:
        size: (height, width) of the probe image in pixels.
    """
    lines = []
    for tap in ('backbone', 'neck'):
        if not all(getattr(detector, tap, None) is not None for detector in (student, teacher)):
            continue
        own, other = (probe(detector, [tap], owner, size) for detector, owner in
                      ((student, 'student'), (teacher, 'teacher')))
        try:
            pairs = dict(pair_levels(own.pyramid(tap), other.pyramid(tap), None, tap))
        except ValueError as error:
            lines.append(f'{tap}: {error}')
            continue
        met = list(zip(other.pyramid(tap), other.strides(tap)))
        for index, (level, stride) in enumerate(zip(own.pyramid(tap), own.strides(tap))):
            line = f'{tap} level {index}, {_named(stride)}: student {level.shape[1]} channels, '
            if index not in pairs:
                lines.append(f'{line}no partner in the teacher')
                continue
            partner, its_stride = met[pairs[index]]
            lines.append(f'{line}teacher level {pairs[index]} with {partner.shape[1]} channels, {_named(its_stride)}'
                         + ('' if its_stride == stride else ': the strides differ'))
    return lines


def _named(stride: float | None) -> str:
    return 'no map' if stride is None else f'stride {stride:.4g}'
