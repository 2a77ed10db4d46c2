"""Where features are strong: teacher, adapted student, and where they differ."""
from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from .panels import draw_boxes, panels, picture_of, save, scale_below, show

ROWS = 'teacher', 'student, adapted', 'their difference'
MEANING = ('Energy: the mean over channels of the squares. A scale ends where 99 % of the cells lie below; an arrow '
           'says that some lie above')


def draw_energy(path: Path, image: Tensor, boxes: Tensor, features: Sequence[tuple[Tensor, Tensor]],
                titles: Sequence[str]) -> None:
    """One column a level: the mean over channels of the squared feature, and of the squared difference.

    Teacher and student of a level share one scale, the difference has its own; each goes from 0 to what 99 % of the
    cells stay below.

    Args:
        path: of the PNG.
        image: ``(3, H, W)`` as the network gets it, of any range.
        boxes: ``(G, 4)`` in pixels of it.
        features: adapted student and teacher of each level, ``(C, h, w)``, which span the whole image.
        titles: one a level.
    """
    picture, size = picture_of(image), (image.shape[1], image.shape[2])
    figure, axes = panels(len(features) + 1, size, rows=len(ROWS))
    figure.set_figheight(figure.get_figheight() + 1.5)  # for the scales and what they are
    figure.suptitle(textwrap.fill(MEANING, 36 * (len(features) + 1)), fontsize=12)
    for panel in axes[1:, 0]:
        panel.set_visible(False)
    show(axes[0, 0], picture, size)
    draw_boxes(axes[0, 0], boxes, 'lime')
    axes[0, 0].set_title('input, with its objects', fontsize=11)
    for panel, name in zip(axes[:, 1], ROWS):
        panel.set_ylabel(name, fontsize=13)
    for column, (student, teacher), title in zip(axes.T[1:], features, titles):
        maps = [values.float().square().mean(0).cpu().numpy() for values in (teacher, student, student - teacher)]
        means = [float(values.mean()) for values in maps]
        shared, own = _highest(maps[:2]), _highest(maps[2:])
        drawn = [show(panel, values, size, vmin=0, vmax=highest, cmap='magma')
                 for panel, values, highest in zip(column, maps, (shared, shared, own))]
        for panel, mean in zip(column, means):
            draw_boxes(panel, boxes, 'lime')
            share = f', {mean / means[0]:.0%} of the teacher' if mean is not means[0] and means[0] else ''
            panel.set_title(f'mean {mean:.3g}{share}', fontsize=11)
        column[0].set_title(f'{title}: mean {means[0]:.3g}', fontsize=11)
        scale_below(column[1], drawn[1], max(values.max() for values in maps[:2]) > shared)
        scale_below(column[2], drawn[2], maps[2].max() > own)
    save(figure, path)


def _highest(maps: Sequence[np.ndarray]) -> float:
    return max(float(np.percentile(np.concatenate([values.ravel() for values in maps]), 99)), 1e-12)
