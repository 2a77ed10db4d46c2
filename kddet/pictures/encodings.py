"""Label maps, their encodings, and what a head makes of these."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from .panels import draw_boxes, panels, picture_of, save, show


def draw_encodings(path: Path, image: Tensor, boxes: Tensor, label_map: Tensor, energies: Sequence[Tensor],
                   titles: Sequence[str], detections: Tensor) -> None:
    """The input with its boxes, the label map, the energy of its encoding level by level, and the reconstruction.

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
    figure, ((*axes,),) = panels(3 + len(energies), size)
    show(axes[0], picture, size)
    draw_boxes(axes[0], boxes, 'lime')
    axes[0].set_title('input', fontsize=9)
    highest = label_map.amax(0) if len(label_map) else label_map.new_zeros(size)
    for panel, values, title in zip(axes[1:], (highest, *energies), ('label map', *titles)):
        show(panel, values.cpu().numpy(), size)
        panel.set_title(title, fontsize=9)
    show(axes[-1], picture, size)
    draw_boxes(axes[-1], boxes, 'lime')
    draw_boxes(axes[-1], detections, 'yellow')
    axes[-1].set_title(f'reconstruction: {len(detections)} of {len(boxes)}', fontsize=9)
    save(figure, path)
