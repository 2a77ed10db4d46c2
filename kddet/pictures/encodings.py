"""Label maps, their encodings, and what a head makes of these."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmdet.structures.bbox import get_box_tensor
from mmengine.structures import InstanceData
from torch import Tensor

from .matching import match
from .panels import draw_boxes, panels, picture_of, save, scale_below, show

LETTERS = 11  # points


def draw_encodings(path: Path, image: Tensor, truth: InstanceData, label_map: Tensor, energies: Sequence[Tensor],
                   titles: Sequence[str], detections: InstanceData, classes: Sequence[str] | None = None) -> None:
    """The input with its boxes, the label map and what is found in its encodings; below, their energy level by level.

    Args:
        path: of the PNG.
        image: ``(3, H, W)`` as the network gets it, of any range.
        truth: ``bboxes`` ``(G, 4)`` in pixels of it, green, and ``labels`` ``(G,)``.
        label_map: ``(P, H, W)``; the highest class of each pixel is drawn.
        energies: ``(h, w)`` a level.
        titles: one a level.
        detections: what the head finds in the encodings, yellow; with ``scores`` ``(D,)`` as well.
        classes: names of the labels; their numbers are written without.
    """
    picture, size, boxes = picture_of(image), (image.shape[1], image.shape[2]), get_box_tensor(truth.bboxes)
    figure, (above, below) = panels(max(3, len(energies)), size, rows=2)
    figure.set_figheight(figure.get_figheight() + 1.2)  # for the scales and what they are
    figure.suptitle('Energy of an encoding: the mean over channels of the squares, each level on its own scale',
                    fontsize=12)
    for panel in (*above[3:], *below[len(energies):]):
        panel.set_visible(False)
    show(above[0], picture, size)
    draw_boxes(above[0], boxes, 'lime')
    _write_names(above[0], boxes, truth.labels, classes, 'lime')
    above[0].set_title(f'input, its {len(boxes)} objects green', fontsize=LETTERS)
    highest = label_map.amax(0) if len(label_map) else label_map.new_zeros(size)
    scale_below(above[1], show(above[1], highest.cpu().numpy(), size, vmin=0, vmax=1))
    above[1].set_title('label map: 1 amid a box', fontsize=LETTERS)
    for panel, values, title in zip(below, energies, titles):
        scale_below(panel, show(panel, values.cpu().numpy(), size, vmin=0, cmap='magma'))
        panel.set_title(f'encoding, {title}: energy', fontsize=LETTERS)
    show(above[2], picture, size)
    draw_boxes(above[2], boxes, 'lime')
    draw_boxes(above[2], detections.bboxes, 'yellow')
    _write_names(above[2], detections.bboxes, detections.labels, classes, 'yellow')
    right = count_found(truth, detections)
    above[2].set_title(f'encodings, yellow: {right} of {len(boxes)} found, {len(detections) - right} false',
                       fontsize=LETTERS)
    save(figure, path)


def count_found(truth: InstanceData, detections: InstanceData) -> int:
    """Objects that a detection of their class overlaps with an IoU of 0.5 at least; each counts for one of them."""
    def listed(boxes: Tensor, labels: Tensor, rest: list) -> list:
        return list(zip(map(tuple, boxes.tolist()), map(str, labels.tolist()), rest))
    matches = match(listed(detections.bboxes, detections.labels, detections.scores.tolist()),
                    listed(get_box_tensor(truth.bboxes), truth.labels, [False] * len(truth)))
    return sum(each.found for each in matches if each.score is not None)


def _write_names(panel: Any, boxes: Tensor, labels: Tensor, classes: Sequence[str] | None, colour: str) -> None:
    height = panel.get_ylim()[0]
    for (left, top, _, _), label in zip(boxes.tolist(), labels.tolist()):
        side = 'bottom' if top > height / 12 else 'top'  # inside the box where there is no room above
        panel.text(left, max(top, 0), classes[label] if classes else label, color='black', fontsize=8, clip_on=True,
                   verticalalignment=side, bbox=dict(facecolor=colour, edgecolor='none', pad=0.5))
