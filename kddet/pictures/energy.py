"""Where features are strong: teacher, adapted student, and where they differ."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from .panels import draw_boxes, panels, picture_of, save, show

ROWS = 'teacher', 'student, adapted', 'difference'


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
    figure.set_figheight(figure.get_figheight() + 1)  # for the scales
    for row, name in zip(axes, ROWS):
        show(row[0], picture, size)
        draw_boxes(row[0], boxes, 'lime')
        row[0].set_ylabel(name, fontsize=12)
    for column, (student, teacher), title in zip(axes.T[1:], features, titles):
        maps = [values.float().square().mean(0).cpu().numpy() for values in (teacher, student, student - teacher)]
        means = [float(values.mean()) for values in maps]
        shared, own = _highest(maps[:2]), _highest(maps[2:])
        drawn = [show(panel, values, size, vmin=0, vmax=highest, cmap='magma')
                 for panel, values, highest in zip(column, maps, (shared, shared, own))]
        for panel, mean in zip(column, means):
            draw_boxes(panel, boxes, 'lime')
            share = f', {mean / means[0]:.0%} of the teacher' if mean is not means[0] and means[0] else ''
            panel.set_title(f'mean {mean:.3g}{share}', fontsize=10)
        column[0].set_title(f'{title}: mean {means[0]:.3g}', fontsize=10)
        figure.colorbar(drawn[0], ax=list(column[:2]), location='bottom', fraction=0.04)
        figure.colorbar(drawn[2], ax=column[2], location='bottom', fraction=0.04)
    save(figure, path)


def _highest(maps: Sequence[np.ndarray]) -> float:
    return max(float(np.percentile(np.concatenate([values.ravel() for values in maps]), 99)), 1e-12)
