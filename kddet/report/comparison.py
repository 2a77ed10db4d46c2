"""What a student gained and lost: overall, class by class, picture by picture."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import mean

from .accuracy import MEASURES, Accuracy
from .detectors import Detector
from .scenes import Scene


@dataclass(frozen=True)
class Row:
    """Of the table of all detectors; points.

    Attributes:
        change: against the reference, over the classes that both were measured on.
        closed: share of the gap between baseline and the best teacher, over the teacher's classes.
        part: how many classes it was measured on, where others were measured on more.
        shared: how many classes ``change`` is over, where these are not all of both.
        before: on what it was measured, where that was before the training.
    """
    column: Detector
    measures: dict[str, float | None]
    logged: bool
    change: float | None = None
    closed: float | None = None
    part: int | None = None
    shared: int | None = None
    before: str = ''


@dataclass(frozen=True)
class ClassChange:
    name: str
    own: float
    change: float


@dataclass(frozen=True)
class Comparison:
    """Of one student with a reference; ``gains`` and ``losses`` begin with the largest.

    ``shared`` is how many classes both have, where these are not all of both.
    """
    column: Detector
    reference: Detector
    gains: Sequence[ClassChange]
    losses: Sequence[ClassChange]
    scenes: Sequence[Scene] = field(default=())
    shared: int | None = None

    @property
    def widest(self) -> float:
        return max((abs(change.change) for change in (*self.gains, *self.losses)), default=1.0)


def glance(columns: Sequence[Detector], reference: Detector | None) -> list[Row]:
    """A row a detector; what could not be measured is as its log has it."""
    measures = {id(column): column.accuracy.measures if column.accuracy else column.run.validated()
                if not column.teaches else {} for column in columns}
    most = max((len(column.accuracy.classes) for column in columns if column.accuracy), default=0)
    rows = []
    for column in columns:
        own = dict.fromkeys(MEASURES) | measures[id(column)]
        row = Row(column, own, column.accuracy is None and own['mAP'] is not None)
        if column.accuracy and len(column.accuracy.classes) < most:
            row = replace(row, part=len(column.accuracy.classes))
        if reference is not None and column is not reference:
            row = _compared(row, reference, measures[id(reference)].get('mAP'))
        rows.append(row)
    return [_closed(row, rows, reference) for row in rows]


def common_classes(own: Accuracy, other: Accuracy) -> list[str]:
    """Those that both were measured on, by their names."""
    return [name for name in own.classes if name in other.classes]


def mean_ap(accuracy: Accuracy, names: Sequence[str]) -> float | None:
    """mAP over some classes; None without an object of them."""
    if len(names) == len(accuracy.classes):
        return accuracy.measures['mAP']
    known = [value for name in names if (value := accuracy.classes[name]) is not None]
    return mean(known) if known else None


def _compared(row: Row, reference: Detector, logged: float | None) -> Row:
    own, other = row.column.accuracy, reference.accuracy
    if own and other:
        names = common_classes(own, other)
        everything = len(names) == len(own.classes) == len(other.classes)
        return replace(row, change=_difference(mean_ap(own, names), mean_ap(other, names)),
                       shared=None if everything else len(names))
    return row if own or other else replace(row, change=_difference(row.measures['mAP'], logged))


def _difference(own: float | None, other: float | None) -> float | None:
    return None if own is None or other is None else own - other


def _closed(row: Row, rows: Sequence[Row], reference: Detector | None) -> Row:
    teacher = max((other for other in rows if other.column.taught(row.column.run)),
                  key=lambda other: other.change or 0, default=None)
    if not teacher or reference is None or reference.mark != 'baseline' or row.column.teaches or row.change is None:
        return row
    if not teacher.change or teacher.change <= 0:
        return row
    gained: float | None = row.change
    own, base, taught = row.column.accuracy, reference.accuracy, teacher.column.accuracy
    if own and base and taught:  # over the classes that the teacher has
        names = common_classes(taught, base)
        gained = _difference(mean_ap(own, names), mean_ap(base, names))
    return row if gained is None else replace(row, closed=gained / teacher.change)


def verdict(row: Row, reference: Detector | None, unfinished: str = '') -> str:
    """A sentence on a student, and how far it came where it is ``unfinished``."""
    name = row.column.name + (f' ({unfinished})' if unfinished else '')
    if row.measures['mAP'] is None:
        return f'{name}: no accuracy is known.'
    if row.column is reference:
        return f'{name} is what the others are compared with; it reaches {row.measures["mAP"]:.1f} mAP.'
    said = f'{name} reaches {row.measures["mAP"]:.1f} mAP'
    if row.change is not None and reference is not None:
        said += (f', {abs(row.change):.1f} points {"more" if row.change >= 0 else "less"} than {reference.name}')
        if row.shared:
            said += f' on the {row.shared} classes that both have'
    best = 'best ' if len(row.column.run.teacher_files) > 1 else ''
    return said + (f', and closes {row.closed:.0%} of the gap to its {best}teacher.' if row.closed is not None
                   and row.closed > 0 else '.')


def class_changes(own: Accuracy, other: Accuracy, most: int) -> tuple[list[ClassChange], list[ClassChange]]:
    """Gains and losses of AP, at most so many of each."""
    found = [ClassChange(name, value, value - before) for name, value in own.classes.items()
             if value is not None and (before := other.classes.get(name)) is not None]
    found.sort(key=lambda change: -change.change)
    return ([change for change in found if change.change > 0][:most],
            [change for change in reversed(found) if change.change < 0][:most])


def picture_changes(own: Accuracy, other: Accuracy, most: int) -> list[tuple[int, float]]:
    """Pictures and the change of their own average precision: most gained first, then most lost, so many of each."""
    found = [(picture, value - before) for picture, value in own.pictures.items()
             if value is not None and (before := other.pictures.get(picture)) is not None]
    found.sort(key=lambda change: -change[1])
    return ([change for change in found if change[1] > 0][:most]
            + [change for change in reversed(found) if change[1] < 0][:most])
