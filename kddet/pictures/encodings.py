"""Label maps, their encodings, and what a head makes of these."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from .panels import draw_boxes, panels, picture_of, save, scale_below, show

LETTERS = 11  # points


def draw_encodings(path: Path, image: Tensor, boxes: Tensor, label_map: Tensor, energies: Sequence[Tensor],
                   titles: Sequence[str], detections: Tensor) -> None:
    """The input with its boxes, the label map and what is found in its encodings; below, their energy level by level.

    Args:
        path: of the PNG.
        image: ``(3, H, W)`` as the network gets it, of any range.
        boxes: ``(G, 4)`` in pixels of it, green.
        label_map: ``(P, H, W)``; the highest class of each pixel is drawn.
        energies: ``(h, w)`` a level.
        titles: one a level.
        detections: ``(D, 4)``, what the head finds in the encodings, yellow.
    """
    picture, size = picture_of(image), (image.shape[1], image.shape[2])
    figure, (above, below) = panels(max(3, len(energies)), size, rows=2)
    figure.set_figheight(figure.get_figheight() + 1.2)  # for the scales and what they are
    figure.suptitle('Energy of an encoding: the mean over channels of the squares, each level on its own scale',
                    fontsize=12)
    for panel in (*above[3:], *below[len(energies):]):
        panel.set_visible(False)
    show(above[0], picture, size)
    draw_boxes(above[0], boxes, 'lime')
    above[0].set_title(f'input, its {len(boxes)} objects green', fontsize=LETTERS)
    highest = label_map.amax(0) if len(label_map) else label_map.new_zeros(size)
    scale_below(above[1], show(above[1], highest.cpu().numpy(), size, vmin=0, vmax=1))
    above[1].set_title('label map: 1 amid a box', fontsize=LETTERS)
    for panel, values, title in zip(below, energies, titles):
        scale_below(panel, show(panel, values.cpu().numpy(), size, vmin=0, cmap='magma'))
        panel.set_title(f'encoding, {title}: energy', fontsize=LETTERS)
    show(above[2], picture, size)
    draw_boxes(above[2], boxes, 'lime')
    draw_boxes(above[2], detections, 'yellow')
    above[2].set_title(f'found in the encodings, yellow: {len(detections)}', fontsize=LETTERS)
    save(figure, path)
