"""One picture several times, each with the boxes that one detector finds, or with the ground truth."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import mmcv
import numpy as np
from mmengine.structures import InstanceData
from mmengine.visualization import Visualizer

SIDES = 480, 960  # pixels that the longer side of a panel has at least, and at most
TITLE, LETTERS = 34, 12  # pixels: height above a panel, size of letters at boxes
_COLOURS = 'lime', 'yellow'  # of ground truth, of detections


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
    objects = panel.instances.cpu().numpy()
    detected = 'scores' in objects
    if detected:
        objects = objects[np.argsort(objects.scores)]  # the best on top
    title = Visualizer(image=np.full((TITLE, image.shape[1], 3), 255, np.uint8))
    title.draw_texts(panel.title, np.array([6.0, 4.0]), font_sizes=18, colors='black')
    canvas = Visualizer(image=image)
    for index, box in enumerate(np.asarray(objects.bboxes, dtype=float).reshape(-1, 4) * scale):
        for colour, width in (('black', 4), (_COLOURS[detected], 2)):
            canvas.draw_bboxes(box, edge_colors=colour, line_widths=width, alpha=1)
        text = _name(panel.classes, int(objects.labels[index])) + (
            f' {objects.scores[index]:.2f}' if detected else '')
        left = max(0.0, min(box[0], image.shape[1] - 0.6 * LETTERS * len(text)))
        canvas.draw_texts(text, np.array([left, max(box[1] - 3, 1.5 * LETTERS)]), font_sizes=LETTERS, colors='black',
                          vertical_alignments='bottom',
                          bboxes=dict(facecolor=_COLOURS[detected], alpha=0.85, pad=1, edgecolor='none'))
    return np.concatenate([title.get_image(), canvas.get_image()])


def _name(classes: Sequence[str] | None, label: int) -> str:
    return classes[label] if classes is not None and label < len(classes) else f'class {label}'
