"""mAP and every loss over training, runs on top of each other."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kddet.project.run_log import Log, Series

from .panels import save

COLUMNS = 4
DIAGNOSTICS = 'diagnostics/'  # what kddet.MethodDiagnosticsHook logs


def draw_curves(logs: Sequence[Log], path: Path) -> None:
    """One panel a measure or a loss, one colour a run; what some run has not logged, the others show alone.

    Args:
        logs: of :func:`kddet.project.run_log.read_log`; names tell them apart in the legend.
        path: of the PNG.

    Raises:
        ValueError: nothing was logged that could be drawn.
    """
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot
    names = curve_names(logs)
    if not names:
        raise ValueError(f'the logs of {", ".join(log.name for log in logs)} hold neither losses nor measures')
    columns = min(COLUMNS, len(names))
    rows = -(-len(names) // columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(4.2 * columns, 2.9 * rows + 0.5), squeeze=False,
                                   layout='constrained')
    for panel, name in zip(axes.flat, names):
        _panel(panel, name, logs)
    for panel in axes.flat[len(names):]:
        panel.set_visible(False)
    lines = [pyplot.Line2D([], [], color=_colour(index), linewidth=2) for index in range(len(logs))]
    figure.legend(lines, [log.name for log in logs], loc='outside lower left', ncols=min(len(logs), 4), frameon=False)
    save(figure, path)


def curve_names(logs: Sequence[Log]) -> list[str]:
    """What :func:`draw_curves` draws: mAP, or the first measure where there is none; every loss; diagnostics."""
    measures = list(dict.fromkeys(key for log in logs for key in log.val if 'time' not in key))
    losses = dict.fromkeys(key for log in logs for key in log.terms)
    return [*([key for key in measures if key.endswith('mAP')] or measures[:1]), *losses,
            *dict.fromkeys(key for log in logs for key in log.train if key.startswith(DIAGNOSTICS))]


def _panel(panel: Any, name: str, logs: Sequence[Log]) -> None:
    evaluated = any(name in log.val for log in logs)
    for index, log in enumerate(logs):
        series = (log.val if evaluated else log.train).get(name)
        if series:
            _line(panel, series, _colour(index), dots=evaluated)
    unit = 'epoch' if evaluated and any(log.by_epoch for log in logs) else 'iteration'
    panel.set_title(name.removeprefix(DIAGNOSTICS), fontsize=10)
    panel.set_xlabel(unit, fontsize=8)
    panel.tick_params(labelsize=8)
    panel.grid(alpha=0.3)
    if evaluated:
        panel.set_xlim(left=0)
        panel.set_ylim(bottom=0)
        panel.xaxis.get_major_locator().set_params(integer=True)
    elif name.endswith('ratio'):
        panel.set_yscale('log')
        panel.axhspan(0.01, 10, color='tab:green', alpha=0.08)
    elif name.endswith('cosine'):
        panel.axhline(0, color='black', linewidth=0.6)


def _line(panel: Any, series: Series, colour: Any, dots: bool) -> None:
    """A running mean over the values as they are, where these are many."""
    steps, values = (np.array(column, dtype=float) for column in zip(*series))
    few = len(values) < 60
    panel.plot(steps, values, color=colour, linewidth=1.5 if few else 0.7, alpha=1 if few else 0.3,
               marker='o' if dots or len(values) == 1 else None, markersize=3)
    if not few:
        width = len(values) // 30
        kernel = np.ones(width) / width
        panel.plot(steps[width - 1:], np.convolve(values, kernel, mode='valid'), color=colour, linewidth=1.5)


def _colour(index: int) -> tuple:
    import matplotlib
    return matplotlib.colormaps['tab10' if index < 10 else 'tab20'](index % 20)
