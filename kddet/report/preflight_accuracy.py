"""The mAP of a teacher that the report before the first step measured, where the page has no other."""
from __future__ import annotations

from dataclasses import replace

from kddet.preflight.accuracy import TOPIC

from .comparison import Row


def before_training(row: Row) -> Row:
    """With the mAP of the report and the pictures that it is over; it is compared with nothing."""
    if not row.column.teaches or row.measures['mAP'] is not None:
        return row
    report = row.column.run.preflight
    found = next((line.measured for line in (report.lines if report else ())
                  if line.topic == TOPIC and line.teacher == row.column.taught_as and line.measured), None)
    if found is None:
        return row
    classes = f', {found["classes"]} classes' if found['classes'] else ''
    return replace(row, measures=dict(row.measures, mAP=100 * found['mAP']),
                   before=f'before training, on {found["images"]} of {found["of"]} pictures{classes}')
