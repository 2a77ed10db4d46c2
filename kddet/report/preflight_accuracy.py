"""The mAP of a teacher that the report before the first step measured, where the page has no other."""
from __future__ import annotations

import re
from dataclasses import replace

from .comparison import Row
from .detectors import Detector

FOUND = re.compile(r'the teacher has mAP ([\d.]+) on (\d+) of (\d+) images of the validation data(?:, (\d+) classes)?$')


def before_training(row: Row) -> Row:
    """With the mAP of the report and the pictures that it is over; it is compared with nothing."""
    if not row.column.teaches or row.measures['mAP'] is not None:
        return row
    report = row.column.run.preflight
    lines = [line.text for line in report.lines if line.topic == 'accuracy'] if report else []
    own = [text.removeprefix(_name(row.column)) for text in lines if text.startswith(_name(row.column))]
    found = next(filter(None, map(FOUND.match, own)), None)
    if found is None:
        return row
    classes = f', {found[4]} classes' if found[4] else ''
    return replace(row, measures=dict(row.measures, mAP=100 * float(found[1])),
                   before=f'before training, on {found[2]} of {found[3]} pictures{classes}')


def _name(column: Detector) -> str:
    """As in front of a line of the report, where there are several."""
    return f'{column.taught_as}: ' if column.taught_as else ''
