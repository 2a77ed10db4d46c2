"""Places at which boxes and their labels do not hide each other."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

Box = tuple[float, float, float, float]  # x1, y1, x2, y2
MOST = 4  # boxes inside each other at one place
ONE_PLACE = 0.5  # IoU from which labels of two boxes may lie on each other's end


def apart(boxes: Sequence[Box], step: float) -> list[Box | None]:
    """Boxes that would cover an earlier one become smaller by ``step`` on each side, or larger where they are small.

    Args:
        boxes: the first stay where they are.
        step: from which on two lines are told apart.

    Returns:
        None where :data:`MOST` boxes are at that place already.
    """
    kept: list[Box | None] = []
    for box in boxes:
        kept.append(next((moved for moved in islice(_nested(box, step), MOST) if not any(
            earlier and max(abs(one - other) for one, other in zip(moved, earlier)) < 0.9 * step
            for earlier in kept)), None))
    return kept


def place_labels(boxes: Sequence[Box], sizes: Sequence[tuple[float, float]],
                 area: tuple[float, float]) -> list[tuple[float, float] | None]:
    """Left and top of labels that touch their boxes, or the label of a box at the same place, but no other label.

    Args:
        boxes: the first choose first.
        sizes: width and height of each label; of no width, it is left out.
        area: width and height that no label leaves.

    Returns:
        None where there is no place.
    """
    places: list[tuple[float, float] | None] = []
    for index, (box, size) in enumerate(zip(boxes, sizes)):
        taken = [(*place, *other) for place, other in zip(places, sizes) if place is not None]
        stacks = [(*place, sizes[other][1]) for other, place in enumerate(places)
                  if place is not None and _iou(boxes[other], box) >= ONE_PLACE]
        free = (place for place in _around(box, size, stacks, area[0]) if _inside(place, size, area)
                and not any(_overlap((*place, *size), other) for other in taken))
        places.append(next(free, None) if sizes[index][0] else None)
    return places


def _nested(box: Box, step: float) -> Iterator[Box]:
    x1, y1, x2, y2 = box
    yield box
    by = step
    while 2 * by + 2 * step < min(x2 - x1, y2 - y1):
        yield x1 + by, y1 + by, x2 - by, y2 - by
        by += step
    by = step
    while True:
        yield x1 - by, y1 - by, x2 + by, y2 + by
        by += step


def _around(box: Box, size: tuple[float, float], stacks: Sequence[tuple[float, float, float]],
            right: float) -> Iterator[tuple[float, float]]:
    x1, y1, x2, y2 = box
    width, height = size
    left, end = max(0, min(x1, right - width)), max(0, min(x2 - width, right - width))
    yield from ((left, y1 - height), (end, y1 - height))
    yield from ((x, y - height) for x, y, _ in stacks if y <= y1)
    yield from ((left, y2), (end, y2))
    yield from ((x, y + other) for x, y, other in stacks if y >= y2)
    yield from ((x2, y1), (x2, y2 - height), (x1 - width, y1), (x1 - width, y2 - height), (left, y1),
                (left, y2 - height))


def _inside(place: tuple[float, float], size: tuple[float, float], area: tuple[float, float]) -> bool:
    return all(start >= 0 and start + long <= end + 1e-6 for start, long, end in zip(place, size, area))


def _overlap(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(one[axis] < other[axis] + other[axis + 2] - 1e-6 and other[axis] < one[axis] + one[axis + 2] - 1e-6
               for axis in (0, 1))


def _iou(one: Box, other: Box) -> float:
    width, height = (max(0, min(one[axis + 2], other[axis + 2]) - max(one[axis], other[axis])) for axis in (0, 1))
    common = width * height
    union = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)) - common
    return common / union if union > 0 else 0
