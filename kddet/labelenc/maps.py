"""Label maps: boxes and classes as pictures, the input of the label encoder."""
from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor

BORDER = 0.5  # value on the border of a box; 0 outside
CHUNK = 2**24  # pixels of all boxes at a time: 64 MiB in float32


class LabelMap(NamedTuple):
    """The channels of one picture's label map that are not zero all over."""
    classes: Tensor  # (P,), in rising order
    map: Tensor  # (P, H, W)


def label_map(boxes: Tensor, labels: Tensor, *, num_classes: int, size: tuple[int, int],
              intensity: Tensor | None = None) -> Tensor:
    r"""One channel a class: 1 in the middle of its boxes, 0.5 on their border, 0 outside.

    Hao et al., *LabelEnc* (arXiv:2007.03282), in the form of the authors' code:

    .. math:: v(x, y) = 1 - \max(|x - c_x| / w, |y - c_y| / h), \quad 0 \text{ where } v < 0.5

    Where boxes of a class overlap, the larger value counts. Boxes without width or height, or with a
    corner that is no finite number, are left out.

    Args:
        boxes: ``(G, 4)`` in pixels of the padded input.
        labels: ``(G,)``, 0 to ``num_classes - 1``; of any integer type.
        size: (height, width) of the padded input.
        intensity: ``(G,)`` factors on the boxes, 0 to 1.

    Returns:
        ``(K, H, W)``.

    Raises:
        ValueError: a label is below 0 or too high.

    Example:
        >>> import torch
        >>> label_map(torch.tensor([[2., 2., 6., 6.]]), torch.tensor([0]), num_classes=1, size=(8, 8))[0, 3]
        tensor([0.0000, 0.0000, 0.5000, 0.7500, 0.7500, 0.7500, 0.5000, 0.0000])
    """
    found = present_label_map(boxes, labels, size=size, intensity=intensity)
    check_classes(found.classes, num_classes)
    dense = found.map.new_zeros(num_classes, *size)
    dense[found.classes] = found.map
    return dense


def label_maps(boxes: Sequence[Tensor], labels: Sequence[Tensor], *, num_classes: int, size: tuple[int, int],
               intensities: Sequence[Tensor | None] | None = None) -> Tensor:
    """:func:`label_map` of each picture of a batch, ``(N, K, H, W)``."""
    return torch.stack([label_map(own, names, num_classes=num_classes, size=size, intensity=intensity) for
                        own, names, intensity in zip(boxes, labels, intensities or [None] * len(boxes))])


@torch.no_grad()
def present_label_map(boxes: Tensor, labels: Tensor, *, size: tuple[int, int],
                      intensity: Tensor | None = None) -> LabelMap:
    """The channels of :func:`label_map` that have a box: a few, where the data set has 80 classes."""
    boxes = get_box_tensor(boxes).float()
    kept = (boxes[:, 2:] > boxes[:, :2]).all(1) & boxes.isfinite().all(1)
    boxes, labels = boxes[kept], labels[kept].long()
    classes, channel = labels.unique(return_inverse=True)
    height, width = size
    found = boxes.new_zeros(len(classes), height, width)
    if not len(boxes):
        return LabelMap(classes, found)
    factors = boxes.new_ones(len(boxes)) if intensity is None else intensity[kept].to(boxes)
    columns, rows = (_ramp(boxes[:, axis], boxes[:, axis + 2], side) for axis, side in ((0, width), (1, height)))
    step = max(1, CHUNK // (len(boxes) * width))
    for top in range(0, height, step):
        value = 1 - torch.maximum(rows[:, top:top + step, None], columns[:, None])
        value = value.masked_fill_(value < BORDER, 0).mul_(factors[:, None, None])
        index = channel[:, None, None].expand_as(value)
        found[:, top:top + step].scatter_reduce_(0, index, value, 'amax')
    return LabelMap(classes, found)


def check_classes(classes: Tensor, num_classes: int) -> None:
    """Refuse the classes of a label map, which are in rising order, where there are none of these numbers.

    Raises:
        ValueError: shows the lowest and the highest.
    """
    if len(classes):
        lowest, highest = classes[[0, -1]].tolist()
        if lowest < 0 or highest >= num_classes:
            raise ValueError(f'the labels go from {lowest} to {highest}, and of {num_classes} classes they are 0 to '
                             f'{num_classes - 1}: correct the annotations, or num_classes')


def _ramp(low: Tensor, high: Tensor, side: int) -> Tensor:
    """Distance of every pixel to the middle of each box, in widths of the box: ``(G, side)``."""
    pixels = torch.arange(side, dtype=low.dtype, device=low.device)
    return (pixels - (low + high)[:, None] / 2).abs() / (high - low)[:, None]
