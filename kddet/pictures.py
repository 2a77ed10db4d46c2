"""Pictures of what a method sees, over the batch that the network gets, with its boxes."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor


def draw_masks(path: Path, image: Tensor, boxes: Tensor, masks: Sequence[Tensor], titles: Sequence[str]) -> None:
    """One panel a level: the network's input, padding included, the cells of the mask tinted, the boxes on top.

    Args:
        path: of the PNG.
        image: ``(3, H, W)`` as the network gets it, of any range.
        boxes: ``(G, 4)`` in pixels of it.
        masks: ``(h, w)`` a level, which spans the whole image.
        titles: one a level.
    """
    picture, size = _picture(image), (image.shape[1], image.shape[2])
    figure, axes = _panels(len(masks), size)
    for panel, mask, title in zip(axes, masks, titles):
        _show(panel, picture, size)
        tint = np.zeros((*mask.shape, 4))
        tint[mask.cpu().numpy()] = (1, 0.2, 0.1, 0.55)
        panel.imshow(tint, extent=(0, size[1], size[0], 0), interpolation='nearest')
        _boxes(panel, boxes, 'lime')
        panel.set_title(f'{title}: {int(mask.sum())} of {mask.numel()} cells', fontsize=9)
    _save(figure, path)


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
    picture, size = _picture(image), (image.shape[1], image.shape[2])
    figure, axes = _panels(3 + len(energies), size)
    _show(axes[0], picture, size)
    _boxes(axes[0], boxes, 'lime')
    axes[0].set_title('input', fontsize=9)
    highest = label_map.amax(0) if len(label_map) else label_map.new_zeros(size)
    for panel, values, title in zip(axes[1:], (highest, *energies), ('label map', *titles)):
        _show(panel, values.cpu().numpy(), size)
        panel.set_title(title, fontsize=9)
    _show(axes[-1], picture, size)
    _boxes(axes[-1], boxes, 'lime')
    _boxes(axes[-1], detections, 'yellow')
    axes[-1].set_title(f'reconstruction: {len(detections)} of {len(boxes)}', fontsize=9)
    _save(figure, path)


def mask_titles(maps: Sequence[Tensor], image: Tensor) -> list[str]:
    """``'stride 8'`` of each map ``(N, C, h, w)`` of an image ``(3, H, W)``."""
    return [f'stride {round(image.shape[2] / level.shape[3])}' for level in maps]


def _picture(image: Tensor) -> np.ndarray:
    pixels = image - image.min()
    return (pixels / pixels.max().clamp(min=1e-6)).permute(1, 2, 0).cpu().numpy()


def _panels(count: int, size: tuple[int, int]) -> tuple[Any, np.ndarray]:
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(1, count, figsize=(3.2 * count, 3.2 * size[0] / size[1] + 0.5), squeeze=False,
                                   layout='constrained')
    return figure, axes[0]


def _show(panel: Any, values: np.ndarray, size: tuple[int, int]) -> None:
    panel.imshow(values, extent=(0, size[1], size[0], 0), interpolation='nearest')
    panel.set(xticks=[], yticks=[], xlim=(0, size[1]), ylim=(size[0], 0))


def _boxes(panel: Any, boxes: Tensor, colour: str) -> None:
    from matplotlib.patches import Rectangle
    for x1, y1, x2, y2 in boxes.tolist():
        panel.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linewidth=1.5))


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot
    figure.savefig(path, dpi=100)
    pyplot.close(figure)
