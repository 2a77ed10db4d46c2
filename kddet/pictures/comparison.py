"""One picture several times, each with the boxes that one detector finds, or with the ground truth."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import mmcv
import numpy as np
from mmengine.structures import InstanceData
from mmengine.visualization import Visualizer

SIDES = 480, 960  # pixels that the longer side of a panel has at least, and at most
TITLE, LETTERS, LINE = 34, 12, 18  # pixels: height above a panel, letters at boxes, with what is around them
COLOURS = 'lime', 'yellow'  # of ground truth, of detections


@dataclass(frozen=True)
class Panel:
    """Objects on a picture.

    Attributes:
        title: above it.
        instances: ``bboxes`` ``(n, 4)`` in the picture's pixels, ``labels`` ``(n,)``, and ``scores`` ``(n,)`` where
            they are detections.
        classes: names of the labels.
    """
    title: str
    instances: InstanceData
    classes: Sequence[str] | None = None


def compare_picture(image: np.ndarray, panels: Sequence[Panel]) -> np.ndarray:
    """The panels from left to right, large enough to be read: ground truth green, detections yellow.

    Where boxes are many, the names of the weakest are left out.

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
    gap = np.full((large.shape[0] + TITLE, 6, 3), 255, np.uint8)
    parts = [part for panel in panels for part in (gap, _drawn(large, panel, scale))]
    return np.concatenate(parts[1:], axis=1)


def _drawn(image: np.ndarray, panel: Panel, scale: float) -> np.ndarray:
    title = Visualizer(image=np.full((TITLE, image.shape[1], 3), 255, np.uint8))
    title.draw_texts(panel.title, np.array([6.0, 4.0]), font_sizes=18, colors='black')
    objects = panel.instances.cpu().numpy()
    if detected := 'scores' in objects:
        objects = objects[np.argsort(objects.scores)]  # the best on top
    canvas, boxes = Visualizer(image=image), np.asarray(objects.bboxes, dtype=float).reshape(-1, 4) * scale
    for box in boxes:
        for colour, width in (('black', 4), (COLOURS[detected], 2)):
            canvas.draw_bboxes(box, edge_colors=colour, line_widths=width, alpha=1)
    taken: list[tuple[float, float, float]] = []
    for index in reversed(range(len(boxes))):
        text = _name(panel.classes, int(objects.labels[index])) + (f' {objects.scores[index]:.2f}' if detected else '')
        place = _place(boxes[index], 0.65 * LETTERS * len(text), image.shape, taken)
        if place is None:
            continue
        canvas.draw_texts(text, place, font_sizes=LETTERS, colors='black', vertical_alignments='bottom',
                          bboxes=dict(facecolor=COLOURS[detected], alpha=0.85, pad=1, edgecolor='none'))
    return np.concatenate([title.get_image(), canvas.get_image()])


def _place(box: np.ndarray, width: float, shape: tuple, taken: list[tuple[float, float, float]]) -> np.ndarray | None:
    """Left and bottom of a text above a box, further up or below it where another text is; None where all are."""
    left = max(0.0, min(box[0], shape[1] - width))
    lines = [max(box[1] - 3, LINE), *(box[1] - 3 - LINE * up for up in range(1, 4)),
             *(box[3] + LINE * down for down in range(1, 5))]
    free = (bottom for bottom in lines if LINE <= bottom <= shape[0] and not any(
        abs(bottom - other) < LINE and left < end and start < left + width for start, end, other in taken))
    bottom = next(free, None)
    if bottom is None:
        return None
    taken.append((left, left + width, bottom))
    return np.array([left, bottom])


def _name(classes: Sequence[str] | None, label: int) -> str:
    return classes[label] if classes is not None and label < len(classes) else f'class {label}'
