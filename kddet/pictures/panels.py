"""Panels beside each other over one picture: what the pictures of this package are put together from."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor


def picture_of(image: Tensor) -> np.ndarray:
    """``(3, H, W)`` as the network gets it, of any range, as ``(H, W, 3)`` from 0 to 1."""
    pixels = image - image.min()
    return (pixels / pixels.max().clamp(min=1e-6)).permute(1, 2, 0).cpu().numpy()


def panels(columns: int, size: tuple[int, int], rows: int = 1) -> tuple[Any, np.ndarray]:
    """A figure and its ``(rows, columns)`` axes for pictures of (height, width)."""
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot
    return pyplot.subplots(rows, columns, figsize=(3.2 * columns, (3.2 * size[0] / size[1] + 0.5) * rows),
                           squeeze=False, layout='constrained')


def show(panel: Any, values: np.ndarray, size: tuple[int, int], **options: Any) -> Any:
    """Values of any resolution over a picture of (height, width) pixels; returns matplotlib's image."""
    drawn = panel.imshow(values, extent=(0, size[1], size[0], 0), interpolation='nearest', **options)
    panel.set(xticks=[], yticks=[], xlim=(0, size[1]), ylim=(size[0], 0))
    return drawn


def draw_boxes(panel: Any, boxes: Tensor, colour: str) -> None:
    """Outlines of ``(N, 4)`` as (x1, y1, x2, y2) in pixels."""
    from matplotlib.patches import Rectangle
    for x1, y1, x2, y2 in boxes.tolist():
        panel.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linewidth=1.5))


def scale_below(panel: Any, drawn: Any, saturated: bool = False) -> Any:
    """The colours of matplotlib's image below a panel and as wide, with an arrow where values lie above its end."""
    from matplotlib.ticker import MaxNLocator
    place = panel.inset_axes((0, -0.13, 1, 0.05))
    return panel.figure.colorbar(drawn, cax=place, orientation='horizontal', extend='max' if saturated else 'neither',
                                 ticks=MaxNLocator(4))


def save(figure: Any, path: Path) -> None:
    """Write the PNG, its folder as well, and let go of the figure."""
    from matplotlib import pyplot
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    pyplot.close(figure)
