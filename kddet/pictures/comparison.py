"""One picture several times, each with the boxes that one detector finds, or with the ground truth."""
from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import mmcv
import numpy as np
from mmengine.structures import InstanceData

from .canvas import Canvas, legend_rows, text_size
from .kinds import KINDS
from .layout import Box, apart, place_labels
from .matching import match

SIDES = 480, 960  # pixels that the longer side of a panel has at least, and at most
GAP, TITLE, LEGEND = 6, 60, 26  # pixels between panels, above one, and of a row of the legend
LARGE, SMALL = 18, 12  # points of a title, of all other letters
STEP = 5  # pixels between lines of boxes at one place


@dataclass(frozen=True)
class Panel:
    """Objects on a picture.

    Attributes:
        title: above it.
        instances: ``bboxes`` ``(n, 4)`` in the picture's pixels, ``labels`` ``(n,)``, ``scores`` ``(n,)`` where they
            are detections, and ``ignored`` ``(n,)`` where some are objects that do not count.
        classes: names of the labels.
        truth: the objects to find; the detections are then judged as COCO does at IoU 0.5, class by class by its name.
    """
    title: str
    instances: InstanceData
    classes: Sequence[str] | None = None
    truth: Panel | None = None


class Mark(NamedTuple):
    box: Box
    kind: str  # of KINDS
    label: str


def compare_picture(image: np.ndarray, panels: Sequence[Panel]) -> np.ndarray:
    """The panels from left to right, large enough to be read, and below what colours and dashes mean.

    Boxes at one place are drawn inside each other; the title says how many are not drawn, and how many labels found no
    place at their boxes.

    Args:
        image: ``(H, W, 3)`` uint8, RGB.
        panels: at least one.

    Returns:
        ``(h, w, 3)`` uint8, RGB.
    """
    smallest, largest = SIDES
    longer = max(image.shape[:2])
    scale = min(max(longer, smallest), largest) / longer
    large = mmcv.imrescale(image, scale, interpolation='bicubic' if scale > 1 else 'area')
    height, width = large.shape[:2]
    marks = [[mark._replace(box=tuple(scale * value for value in mark.box)) for mark in _marks(panel)]
             for panel in panels]
    kinds = [kind for kind in KINDS if any(mark.kind == kind for own in marks for mark in own)]
    whole = len(panels) * (width + GAP) - GAP
    canvas = Canvas(TITLE + height + LEGEND * len(legend_rows(kinds, whole, SMALL)), whole)
    for index, (panel, own) in enumerate(zip(panels, marks)):
        _draw(canvas, large, panel, own, index * (width + GAP))
    canvas.legend(kinds, TITLE + height + 3, SMALL)
    return canvas.pixels()


def _draw(canvas: Canvas, image: np.ndarray, panel: Panel, marks: Sequence[Mark], left: int) -> None:
    height, width = image.shape[:2]
    boxes = apart([mark.box for mark in marks], STEP)
    drawn = [(box, mark) for box, mark in zip(boxes, marks) if box]
    places = place_labels([box for box, _ in drawn], [text_size(mark.label, SMALL) if mark.label else (0.0, 0.0)
                                                      for _, mark in drawn], (width, height))
    frame = canvas.picture(image, left, TITLE)
    for (x1, y1, x2, y2), mark in reversed(drawn):  # the first on top
        canvas.box((left + x1, TITLE + y1, left + x2, TITLE + y2), KINDS[mark.kind], frame)
    for place, (_, mark) in zip(places, drawn):
        if place is not None:
            canvas.text(mark.label, left + place[0], TITLE + place[1], SMALL, KINDS[mark.kind].colour)
    unlabelled = sum(place is None and bool(mark.label) for place, (_, mark) in zip(places, drawn))
    summary = _summary(panel, marks, len(marks) - len(drawn), unlabelled)
    for text, top, points in ((panel.title, 2, LARGE), (summary, 33, SMALL)):
        points *= min(1, width / text_size(text, points)[0])
        canvas.text(text, left + 2, top, points)


def _summary(panel: Panel, marks: Sequence[Mark], hidden: int, unlabelled: int) -> str:
    counts = Counter(mark.kind for mark in marks)
    said = []
    if panel.truth is not None:
        said.append(', '.join(f'{counts[kind]} {kind}' for kind in ('right', 'wrong', 'missed')))
        said += [f'{counts["found"]} of other classes'] if counts['found'] else []
    said += [f'{hidden} more at the same places'] if hidden else []
    return '; '.join([*said, *([f'{unlabelled} unlabelled'] if unlabelled else [])])


def _marks(panel: Panel) -> list[Mark]:
    """What is right, what was missed, then the rest; the strongest of each first."""
    objects = _objects(panel)
    if panel.truth is None:
        return [_mark(box, 'object' if score is None else 'found', name, score)
                for box, name, score, ignored in objects if not ignored]
    known, own = panel.truth.classes, panel.classes
    judged = [each for each in objects if known is None or each[1] in known]
    wanted = [(box, name, ignored) for box, name, _, ignored in _objects(panel.truth) if own is None or name in own]
    matches = match([(box, name, score or 0.0) for box, name, score, _ in judged], wanted)
    matches.sort(key=lambda each: -(each.score or 0))
    found = [each for each in matches if each.score is not None]
    return [*(_mark(each.box, 'right', each.name, each.score) for each in found if each.found),
            *(Mark(each.box, 'missed', '') for each in matches if each.score is None and not each.found),
            *(_mark(each.box, 'wrong', each.name, each.score) for each in found if not each.found),
            *(_mark(box, 'found', name, score) for box, name, score, _ in objects
              if known is not None and name not in known)]


def _mark(box: Box, kind: str, name: str, score: float | None) -> Mark:
    return Mark(box, kind, KINDS[kind].sign + name + ('' if score is None else f' {score:.2f}'))


def _objects(panel: Panel) -> list[tuple[Box, str, float | None, bool]]:
    """Box, name, score and whether it does not count; the highest score first."""
    objects = panel.instances.cpu().numpy()
    scores = objects.scores.tolist() if 'scores' in objects else [None] * len(objects.bboxes)
    ignored = objects.ignored.tolist() if 'ignored' in objects else [False] * len(objects.bboxes)
    boxes = np.asarray(objects.bboxes, dtype=float).reshape(-1, 4).tolist()
    found = [(tuple(box), _name(panel.classes, int(label)), score, bool(leave))
             for box, label, score, leave in zip(boxes, objects.labels, scores, ignored)]
    return sorted(found, key=lambda each: -(each[2] or 0))


def _name(classes: Sequence[str] | None, label: int) -> str:
    return classes[label] if classes is not None and label < len(classes) else f'class {label}'
