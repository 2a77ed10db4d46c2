"""Pictures of what a method sees: masks over the batch that the network gets, with its boxes."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

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
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot
    from matplotlib.patches import Rectangle
    pixels = image - image.min()
    picture = (pixels / pixels.max().clamp(min=1e-6)).permute(1, 2, 0).cpu().numpy()
    height, width = picture.shape[:2]
    figure, axes = pyplot.subplots(1, len(masks), figsize=(3.2 * len(masks), 3.2 * height / width + 0.5), squeeze=False,
                                   layout='constrained')
    for panel, mask, title in zip(axes[0], masks, titles):
        panel.imshow(picture, extent=(0, width, height, 0))
        tint = np.zeros((*mask.shape, 4))
        tint[mask.cpu().numpy()] = (1, 0.2, 0.1, 0.55)
        panel.imshow(tint, extent=(0, width, height, 0), interpolation='nearest')
        for x1, y1, x2, y2 in boxes.tolist():
            panel.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor='lime', linewidth=1.5))
        panel.set(xticks=[], yticks=[], xlim=(0, width), ylim=(height, 0))
        panel.set_title(f'{title}: {int(mask.sum())} of {mask.numel()} cells', fontsize=9)
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def mask_titles(maps: Sequence[Tensor], image: Tensor) -> list[str]:
    """``'stride 8'`` of each map ``(N, C, h, w)`` of an image ``(3, H, W)``."""
    return [f'stride {round(image.shape[2] / level.shape[3])}' for level in maps]
