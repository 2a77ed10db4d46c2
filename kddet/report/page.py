"""The report as one HTML page that needs nothing else: no network, no script."""
from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

import kddet
from kddet.options import some
from kddet.pictures.curve_panels import curve_panels
from kddet.pictures.kinds import KINDS

from .charts import BOTTOM, HEIGHT, LEFT, RIGHT, WIDTH, Chart, Line
from .comparison import Comparison, Row, glance, verdict
from .cost import cost
from .detectors import Detector
from .preflight_accuracy import before_training
from .progress import unfinished
from .run_folder import hash_of
from .settings import settings
from .truth import Truth

MEASURES = dict(mAP='mAP', mAP_50='AP50', mAP_75='AP75', mAP_s='AP small', mAP_m='AP medium', mAP_l='AP large')
BOX = dict(width=WIDTH, height=HEIGHT, left=LEFT, right=WIDTH - RIGHT, bottom=HEIGHT - BOTTOM)


def render(columns: Sequence[Detector], reference: Detector | None, truth: Truth | None,
           comparisons: Sequence[Comparison], notes: list[str]) -> str:
    """The text of the page.

    Args:
        columns: teachers first.
        reference: what the students are compared with, a column too.
        truth: None where nothing was measured.
        comparisons: of the students with the reference.
        notes: what is missing, and why; more may come.
    """
    students = [column for column in columns if not column.teaches]
    rows = [before_training(row) for row in glance(columns, reference)]
    far = {id(column): unfinished(column.run) for column in students}
    compared = [row for row in rows if row.column in students
                and (row.column is not reference or far[id(row.column)])]
    costs = cost(columns, reference if reference in students else None, notes)
    content = dict(
        title=_title(students, reference), version=kddet.__version__, box=BOX, notes=list(dict.fromkeys(notes)),
        subtitle=f'Written by kddet {kddet.__version__} on {datetime.now():%d %B %Y, %H:%M}.',
        measures=list(MEASURES.items()), kinds=list(KINDS.items()), reference=reference, all_columns=columns,
        measured=[column for column in columns if column.accuracy], trained=students, glance=rows,
        verdicts=[dict(mark=row.column.mark, text=verdict(row, reference, far.get(id(row.column), '')))
                  for row in compared or rows],
        closes=any(row.closed is not None for row in rows), some_logged=any(row.logged for row in rows),
        data=f'{len(truth.files):,} validation pictures' if truth else 'the validation pictures of each run',
        settings=_transposed([settings(column.run) for column in students]),
        configs=[(column, column.run.config_file.read_text()) for column in students],
        preflights=[(column, found) for column in students if (found := column.run.preflight)],
        charts=_charts(columns, rows), classes=_classes(columns, reference, truth),
        alone=[(column, some(column.alone, 20)) for column in columns if column.alone],
        all_classes=len(truth.classes) if truth else 0, partial=any(row.part for row in rows),
        comparisons=[each for each in comparisons if each.gains or each.losses or each.scenes],
        cost=[(label, values) for label, values in costs if any(values)],
        sources=[_source(column) for column in columns])
    content['drawn_columns'] = [row.column for row in rows if not row.column.teaches or _drawn(row)]
    content['sections'] = [(key, text) for key, text, shown in (
        ('glance', 'At a glance', True), ('settings', 'Settings', True),
        ('preflight', 'Before the first step', content['preflights']), ('curves', 'Over training', content['charts']),
        ('classes', 'Class by class', content['classes']), ('changes', 'Gained and lost', content['comparisons']),
        ('cost', 'Cost', True)) if shown]
    environment = Environment(loader=PackageLoader(__package__, '.'), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(points=points, signed=signed)
    style = (Path(__file__).parent / 'page.css').read_text()
    return environment.get_template('page.html.j2').render(content, style=style)


def points(value: float | None) -> str:
    return '–' if value is None else f'{value:.1f}'


def signed(value: float) -> str:
    text = f'{value:+.1f}'.replace('-', '−')
    return '±0.0' if text in ('+0.0', '−0.0') else text


def _title(students: Sequence[Detector], reference: Detector | None) -> str:
    own = ', '.join(column.name for column in students if column is not reference)
    return f'{own} against {reference.name}' if reference in students and reference is not None else own


def _transposed(columns: Sequence[dict[str, str]]) -> list[tuple[str, list[str]]]:
    """Rows that say anything."""
    return [(label, values) for label in columns[0] if any(values := [column[label] for column in columns])]


def _charts(columns: Sequence[Detector], rows: Sequence[Any]) -> list[Chart]:
    """One a measure or a loss; teachers are a line across the chart of mAP."""
    students = [column for column in columns if not column.teaches]
    charts = []
    for panel in curve_panels([column.run.log for column in students]):
        lines = [Line(students[index].name, students[index].mark, series) for index, series in panel.series.items()]
        if panel.name.endswith('mAP'):
            lines += [Line(row.column.name, 'teacher', [(0, row.measures['mAP'])], level=True) for row in rows
                      if row.column.teaches and _drawn(row)]
        charts.append(Chart(panel.title, panel.unit, lines, dots=panel.evaluated, note=panel.note))
    return charts


def _drawn(row: Row) -> bool:
    """A teacher's line across the chart: its mAP is over the classes of the others."""
    return row.column.accuracy is not None and row.measures['mAP'] is not None and not row.part


def _classes(columns: Sequence[Detector], reference: Detector | None, truth: Truth | None) -> list[dict]:
    measured = [(column, column.accuracy) for column in columns if column.accuracy]
    if not measured or truth is None:
        return []
    base = reference.accuracy if reference is not None else None
    counts = truth.counts()
    rows = []
    for name in truth.classes:
        before = base.classes.get(name) if base else None
        cells = []
        for column, accuracy in measured:
            own = accuracy.classes.get(name)
            difference = own - before if own is not None and before is not None and column is not reference else None
            cells.append((own, difference, name in accuracy.classes))
        rows.append(dict(name=name, objects=counts[name], cells=cells))
    return rows


def _source(column: Detector) -> str:
    if column.checkpoint is None:
        return f'{column.name}: {column.run.path}, without a checkpoint'
    found = hash_of(column.checkpoint)
    return f'{column.name}: {column.checkpoint}' + (f', sha256 {found}' if found else '')
