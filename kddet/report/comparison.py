"""What a student gained and lost: overall, class by class, picture by picture."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .accuracy import MEASURES, Accuracy
from .detectors import Detector
from .scenes import Scene


@dataclass(frozen=True)
class Row:
    """Of the table of all detectors; points, ``closed`` a share of the gap between baseline and teacher."""
    column: Detector
    measures: dict[str, float | None]
    logged: bool
    change: float | None
    closed: float | None


@dataclass(frozen=True)
class ClassChange:
    name: str
    own: float
    change: float


@dataclass(frozen=True)
class Comparison:
    """Of one student with a reference; ``gains`` and ``losses`` begin with the largest."""
    column: Detector
    reference: Detector
    gains: Sequence[ClassChange]
    losses: Sequence[ClassChange]
    scenes: Sequence[Scene] = field(default=())

    @property
    def widest(self) -> float:
        return max((abs(change.change) for change in (*self.gains, *self.losses)), default=1.0)


def glance(columns: Sequence[Detector], reference: Detector | None) -> list[Row]:
    """A row a detector; what could not be measured is as its log has it."""
    measures = {id(column): column.accuracy.measures if column.accuracy else column.run.validated()
                if not column.teaches else {} for column in columns}
    rows = []
    for column in columns:
        own = dict.fromkeys(MEASURES) | measures[id(column)]
        comparable = reference is not None and bool(reference.accuracy) == bool(column.accuracy)
        base = measures[id(reference)].get('mAP') if reference is not None and comparable else None
        change = own['mAP'] - base if own['mAP'] is not None and base is not None and column is not reference else None
        rows.append(Row(column, own, column.accuracy is None and own['mAP'] is not None, change, None))
    return [_closed(row, rows, reference) for row in rows]


def _closed(row: Row, rows: Sequence[Row], reference: Detector | None) -> Row:
    teacher = next((other for other in rows if other.column.teaches and
                    other.column.run.teacher_files == row.column.run.teacher_files), None)
    if not teacher or reference is None or reference.mark != 'baseline' or row.column.teaches or row.change is None:
        return row
    if not teacher.change or teacher.change <= 0:
        return row
    return Row(row.column, row.measures, row.logged, row.change, row.change / teacher.change)


def verdict(row: Row, reference: Detector | None) -> str:
    """A sentence on a student."""
    if row.measures['mAP'] is None:
        return f'{row.column.name}: no accuracy is known.'
    said = f'{row.column.name} reaches {row.measures["mAP"]:.1f} mAP'
    if row.change is not None and reference is not None:
        said += (f', {abs(row.change):.1f} points {"more" if row.change >= 0 else "less"} than {reference.name}')
    return said + (f', and closes {row.closed:.0%} of the gap to its teacher.' if row.closed is not None
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
