"""The cells that a mask keeps, level by level, over the batch that the network gets, with its boxes."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from .panels import draw_boxes, panels, picture_of, save, show


def draw_masks(path: Path, image: Tensor, boxes: Tensor, masks: Sequence[Tensor], titles: Sequence[str]) -> None:
    """One panel a level: the network's input, padding included, the cells of the mask tinted, the boxes on top.

    Args:
        path: of the PNG.
        image: ``(3, H, W)`` as the network gets it, of any range.
        boxes: ``(G, 4)`` in pixels of it.
        masks: ``(h, w)`` a level, which spans the whole image.
        titles: one a level.
    """
    picture, size = picture_of(image), (image.shape[1], image.shape[2])
    figure, axes = panels(len(masks), size)
    for panel, mask, title in zip(axes[0], masks, titles):
        show(panel, picture, size)
        tint = np.zeros((*mask.shape, 4))
        tint[mask.cpu().numpy()] = (1, 0.2, 0.1, 0.55)
        panel.imshow(tint, extent=(0, size[1], size[0], 0), interpolation='nearest')
        draw_boxes(panel, boxes, 'lime')
        panel.set_title(f'{title}: {int(mask.sum())} of {mask.numel()} cells', fontsize=9)
    save(figure, path)


def mask_titles(maps: Sequence[Tensor], image: Tensor) -> list[str]:
    """``'stride 8'`` of each map ``(N, C, h, w)`` of an image ``(3, H, W)``."""
    return [f'stride {round(image.shape[2] / level.shape[3])}' for level in maps]
