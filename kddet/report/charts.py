"""Lines over training as coordinates of an SVG; the template draws them."""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from matplotlib.ticker import LogLocator, MaxNLocator

WIDTH, HEIGHT = 380, 230
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 34  # margins
MOST = 300  # points of a line; of more, the mean of neighbours is drawn
SPIKY = 20  # a maximum this many times the median is drawn on a logarithmic scale
Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """``mark`` is the class of its colour in the page; a ``level`` is one point, drawn across the chart, dashed."""
    name: str
    mark: str
    points: Sequence[Point]
    level: bool = False


@dataclass
class Chart:
    """The place of everything in a box of :data:`WIDTH` x :data:`HEIGHT`.

    Args:
        title: of the chart.
        x_label: what runs from left to right.
        lines: points that are no numbers are left out.
        dots: mark every point.
        note: what it is, if its title does not say.
    """
    title: str
    x_label: str
    lines: Sequence[Line]
    dots: bool = False
    note: str = ''
    logarithmic: bool = field(init=False)

    def __post_init__(self) -> None:
        self.lines = [replace(line, points=thinned(line.points)) for line in self.lines]
        self.lines = [line for line in self.lines if line.points]
        values = sorted(y for line in self.lines for _, y in line.points) or [0.0]
        self.logarithmic = values[0] > 0 and values[-1] > SPIKY * values[len(values) // 2]
        steps = [x for line in self.lines for x, _ in line.points if not line.level] or [0.0, 1.0]
        self._x = min(steps), max(max(steps), min(steps) + 1e-9)
        low, high = values[0], values[-1]
        if not self.logarithmic:
            low = min(low, 0.0)
            high = high + 0.05 * (high - low) if high > low else low + 1
        self._y = low, high

    @property
    def x_ticks(self) -> list[tuple[float, str]]:
        """Place and text."""
        found = MaxNLocator(5, integer=True).tick_values(*self._x)
        return [(self.x(value), f'{value:,.0f}') for value in found if self._x[0] <= value <= self._x[1]]

    @property
    def y_ticks(self) -> list[tuple[float, str]]:
        """Place and text."""
        locator = LogLocator(subs=(1, 2, 5), numticks=6) if self.logarithmic else MaxNLocator(5)
        found = [value for value in locator.tick_values(*self._y) if self._y[0] <= value <= self._y[1]]
        return [(self.y(value), f'{value:.4g}') for value in found]

    def x(self, value: float) -> float:
        share = (value - self._x[0]) / (self._x[1] - self._x[0])
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        low, high, value = (math.log(number) for number in (*self._y, value)) if self.logarithmic else (*self._y, value)
        return round(HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - BOTTOM - TOP), 1)

    def places(self, line: Line) -> str:
        """Of a polyline."""
        if line.level:
            height = self.y(line.points[0][1])
            return f'{LEFT},{height} {WIDTH - RIGHT},{height}'
        return ' '.join(f'{self.x(x)},{self.y(y)}' for x, y in line.points)


def thinned(points: Sequence[Point], most: int = MOST) -> list[Point]:
    """At most so many points: means of as many neighbours as it takes, those that are no numbers left out."""
    finite = [(float(x), float(y)) for x, y in points if math.isfinite(y)]
    every = math.ceil(len(finite) / most) if finite else 1
    groups = [finite[start:start + every] for start in range(0, len(finite), every)]
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups]
