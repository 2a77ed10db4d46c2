"""A sheet of pixels on which pictures, boxes and letters are put where they are wanted."""
from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from .kinds import KINDS, Kind

DPI = 100
BLACK = 0.75  # pixels of black on either side of a line, so that it is seen on any ground


class Canvas:
    """White, ``(height, width)`` pixels; places are (x, y) from its upper left corner."""

    def __init__(self, height: int, width: int) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        self.figure = Figure(figsize=((width + 0.01) / DPI, (height + 0.01) / DPI), dpi=DPI)
        FigureCanvasAgg(self.figure)
        self.axes: Any = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, width), ylim=(height, 0))
        self.axes.axis('off')

    def picture(self, image: np.ndarray, x: float, y: float) -> Any:
        """``(H, W, 3)`` uint8, pixel by pixel; returns what boxes can be cut off by."""
        from matplotlib.patches import Rectangle
        height, width = image.shape[:2]
        self.axes.imshow(image, extent=(x, x + width, y + height, y), interpolation='nearest', aspect='auto')
        self.axes.set(xlim=(0, self.figure.bbox.width), ylim=(self.figure.bbox.height, 0))
        return Rectangle((x, y), width, height, transform=self.axes.transData)

    def box(self, box: tuple[float, float, float, float], kind: Kind, within: Any = None) -> None:
        """An outline (x1, y1, x2, y2)."""
        from matplotlib.patches import Rectangle
        x1, y1, x2, y2 = box
        points = 72 / DPI
        for colour, width, style in (('black', 2 + 2 * BLACK, 'solid'), (
                kind.colour, 2, (0, [length / 2 for length in kind.dashes]) if kind.dashes else 'solid')):
            patch = Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linewidth=width * points,
                              linestyle=style, capstyle='butt')
            self.axes.add_patch(patch)
            if within is not None:
                patch.set_clip_path(within)

    def text(self, text: str, x: float, y: float, points: float, ground: str | None = None) -> None:
        """Black letters, their upper left corner at (x, y), on a patch of a colour or on what is there."""
        from matplotlib.patches import Rectangle
        width, height = text_size(text, points)
        if ground:
            self.axes.add_patch(Rectangle((x, y), width, height, color=ground, linewidth=0))
        self.axes.text(x + PAD, y + height / 2, text, fontsize=points, color='black', va='center_baseline',
                       parse_math=False)

    def legend(self, kinds: list[str], y: float, points: float) -> None:
        """A sample of each kind of :data:`KINDS` and its text, as :func:`legend_rows` arranges them."""
        rows = legend_rows(kinds, self.figure.bbox.width, points)
        for index, row in enumerate(rows):
            x, top = 6.0, y + index * (text_size('', points)[1] + 6)
            for kind in row:
                self.box((x, top + 3, x + SAMPLE, top + text_size('', points)[1] - 3), KINDS[kind])
                self.text(KINDS[kind].sign + KINDS[kind].text, x + SAMPLE + 4, top, points)
                x += _length(kind, points)

    def pixels(self) -> np.ndarray:
        """``(height, width, 3)`` uint8, RGB."""
        self.figure.canvas.draw()
        return np.asarray(self.figure.canvas.buffer_rgba())[..., :3].copy()  # type: ignore[attr-defined]


PAD, SAMPLE = 2, 26  # pixels beside letters; width of a line's sample


@lru_cache(maxsize=1024)
def text_size(text: str, points: float, bold: bool = False) -> tuple[float, float]:
    """Width and height in pixels that letters take here, with some space around them."""
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.font_manager import FontProperties
    font = FontProperties(size=points, weight='bold' if bold else 'normal')
    renderer = RendererAgg(1, 1, DPI)
    width = renderer.get_text_width_height_descent(text, font, False)[0] if text else 0
    return width + 2 * PAD, renderer.get_text_width_height_descent('lp', font, False)[1] + 2 * PAD


def legend_rows(kinds: list[str], width: float, points: float) -> list[list[str]]:
    """Kinds of :data:`KINDS` beside each other, in as many rows as it takes."""
    rows: list[list[str]] = [[]]
    for kind in kinds:
        if rows[-1] and 6 + sum(_length(other, points) for other in (*rows[-1], kind)) > width:
            rows.append([])
        rows[-1].append(kind)
    return rows


def _length(kind: str, points: float) -> float:
    return SAMPLE + 4 + text_size(KINDS[kind].sign + KINDS[kind].text, points)[0] + 16
