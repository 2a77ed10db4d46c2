"""mAP and every loss over training, runs on top of each other."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kddet.project.run_log import Log, Series

from .curve_panels import SOUND, CurvePanel, curve_panels
from .panels import save

COLUMNS = 4


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
    drawn = curve_panels(logs)
    if not drawn:
        raise ValueError(f'the logs of {", ".join(log.name for log in logs)} hold neither losses nor measures')
    columns = min(COLUMNS, len(drawn))
    rows = -(-len(drawn) // columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(4.2 * columns, 2.9 * rows + 0.5), squeeze=False,
                                   layout='constrained')
    for panel, curves in zip(axes.flat, drawn):
        _panel(panel, curves)
    for panel in axes.flat[len(drawn):]:
        panel.set_visible(False)
    lines = [pyplot.Line2D([], [], **_style(index), linewidth=2) for index in range(len(logs))]
    figure.legend(lines, [log.name for log in logs], loc='outside lower left', ncols=min(len(logs), 4), frameon=False)
    save(figure, path)


def _panel(panel: Any, curves: CurvePanel) -> None:
    from matplotlib.ticker import MaxNLocator
    for index, series in curves.series.items():
        _line(panel, series, _style(index), dots=curves.evaluated)
    panel.set_title(curves.title + (f'\n{curves.note}' if curves.note else ''), fontsize=8 if curves.note else 10)
    panel.set_xlabel(curves.unit, fontsize=8)
    panel.tick_params(labelsize=8)
    panel.grid(alpha=0.3)
    panel.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    if curves.evaluated:
        panel.set_xlim(left=0)
        panel.set_ylim(bottom=0)
    elif curves.diagnostic and curves.name.endswith('ratio'):
        panel.set_yscale('log')
        panel.axhspan(*SOUND, color='tab:green', alpha=0.08)
        panel.set_title(f'{curves.title}\n{curves.note} (green)', fontsize=8)
    elif curves.diagnostic and curves.name.endswith('cosine'):
        panel.axhline(0, color='black', linewidth=0.6)


def _line(panel: Any, series: Series, style: dict[str, Any], dots: bool) -> None:
    """A running mean over the values as they are, where these are many."""
    steps, values = (np.array(column, dtype=float) for column in zip(*series))
    few = len(values) < 60
    panel.plot(steps, values, **style, linewidth=1.5 if few else 0.7, alpha=1 if few else 0.3,
               marker='o' if dots or len(values) == 1 else None, markersize=3)
    if not few:
        width = len(values) // 30
        kernel = np.ones(width) / width
        panel.plot(steps[width - 1:], np.convolve(values, kernel, mode='valid'), **style, linewidth=1.5)


def _style(index: int) -> dict[str, Any]:
    """Ten colours, drawn through, then broken."""
    import matplotlib
    return dict(color=matplotlib.colormaps['tab10'](index % 10), linestyle=('-', '--', ':')[index // 10 % 3])
