"""Boxes to masks of the cells near objects, level by level."""
from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

SCOPES = ('global', 'level')
CHUNK = dict(cpu=2**20, cuda=2**23)  # overlaps at a time: 4 MB stay in a CPU's cache, a GPU wants few launches
EPSILON = 1e-6

Masks = tuple[Tensor, ...]


def fine_grained_masks(level_anchors: Sequence[Tensor], level_sizes: Sequence[tuple[int, int]], gt_bboxes: Tensor, *,
                       threshold_factor: float = 0.5, scope: str = 'global', legacy: bool = False) -> Masks:
    r"""Cells at which some anchor overlaps some ground truth nearly as well as the best anchor does.

    Wang et al., *Distilling Object Detectors with Fine-grained Feature Imitation*, CVPR 2019 (arXiv:1906.03609),
    Sec. 3.2. A cell is in the mask if for any ground truth :math:`k` the IoU of any of its anchors is greater than
    :math:`\psi \max_a \mathrm{IoU}_{k,a}`; strictly, so that :math:`\psi = 1` gives an empty mask and
    :math:`\psi = 0` every cell that overlaps at all. The paper has one level. On a pyramid, ``scope='global'`` takes
    the best anchor of all levels, so that a level is masked where its anchors fit the object; ``'level'`` takes the
    best of each level, which masks every level for every object.

    Args:
        level_anchors: ``(H * W * A, 4) as (x1, y1, x2, y2)`` a level, in input pixels, by cell, then anchor; all of
            them, those that cross the image's border included.
        level_sizes: ``(H, W)`` a level.
        gt_bboxes: ``(G, 4)`` in input pixels; without ignored and crowd boxes.
        threshold_factor: :math:`\psi`, 0 to 1.
        scope: ``'global'`` or ``'level'``.
        legacy: the authors' code, which counts a box's last pixel: widths and heights are one larger.

    Returns:
        A bool tensor ``(H, W)`` a level.

    Example:
        >>> import torch
        >>> anchors = torch.tensor([[0., 0., 8., 8.], [8., 0., 16., 8.]])
        >>> fine_grained_masks([anchors], [(1, 2)], torch.tensor([[0., 0., 9., 8.]]))
        (tensor([[ True, False]]),)
    """
    return tuple(mask[0] for mask in batch_fine_grained_masks(
        level_anchors, level_sizes, [gt_bboxes], threshold_factor=threshold_factor, scope=scope, legacy=legacy))


def batch_fine_grained_masks(level_anchors: Sequence[Tensor], level_sizes: Sequence[tuple[int, int]],
                             batch_gt_bboxes: Sequence[Tensor], *, threshold_factor: float = 0.5,
                             scope: str = 'global', legacy: bool = False) -> Masks:
    """:func:`fine_grained_masks` of every image of a batch, which share their anchors.

    Args:
        batch_gt_bboxes: ``(G, 4)`` an image.

    Returns:
        A bool tensor ``(N, H, W)`` a level.
    """
    if scope not in SCOPES:
        raise ValueError(f'scope is {scope!r}, allowed are {list(SCOPES)}')
    if not 0 <= threshold_factor <= 1:
        raise ValueError(f'threshold_factor is {threshold_factor}, it must be between 0 and 1')
    sides = [anchor_sides(anchors, size) for anchors, size in zip(level_anchors, level_sizes, strict=True)]
    return near_objects(sides, level_sizes, batch_gt_bboxes, threshold_factor=threshold_factor, scope=scope,
                        legacy=legacy)


def near_objects(level_sides: Sequence[AnchorSides], level_sizes: Sequence[tuple[int, int]],
                 batch_gt_bboxes: Sequence[Tensor], *, threshold_factor: float, scope: str, legacy: bool) -> Masks:
    """:func:`batch_fine_grained_masks` with anchors prepared by :func:`anchor_sides`, which many batches share."""
    boxes = torch.cat(list(batch_gt_bboxes)).float()
    image = torch.cat([boxes.new_full((len(own),), index, dtype=torch.long)
                       for index, own in enumerate(batch_gt_bboxes)])
    hits = [boxes.new_zeros(len(batch_gt_bboxes), height * width) for height, width in level_sizes]
    chunk = CHUNK.get(boxes.device.type, CHUNK['cuda'])
    step = max(1, chunk // max(sides.numel(size) for sides, size in zip(level_sides, level_sizes)))
    for start in range(0, len(boxes), step):
        best = [_best_overlaps(sides, boxes[start:start + step], float(legacy)) for sides in level_sides]
        for count, near in zip(hits, cells_near(best, threshold_factor, scope)):
            count.index_add_(0, image[start:start + step], near.float())
    return tuple(count.view(-1, *size) > 0 for count, size in zip(hits, level_sizes))


def cells_near(best: Sequence[Tensor], threshold_factor: float, scope: str) -> list[Tensor]:
    """Where the best overlap of a cell, ``(G, H * W)`` a level, is greater than the factor of the box's best at all."""
    highest = [level.amax(1, keepdim=True) for level in best]
    if scope == 'global':
        highest = [torch.stack(highest).amax(0)] * len(best)
    return [level > threshold_factor * top for level, top in zip(best, highest)]


class AnchorSides(NamedTuple):
    """Sides of anchors as ``(A, H, W)``; on a regular grid ``(A, 1, W)`` and ``(A, H, 1)``."""
    left: Tensor
    top: Tensor
    right: Tensor
    bottom: Tensor

    def numel(self, size: tuple[int, int]) -> int:
        """Number of anchors on a level of ``(H, W)``."""
        return self.left.shape[0] * size[0] * size[1]


def anchor_sides(anchors: Tensor, size: tuple[int, int]) -> AnchorSides:
    """Take anchors ``(H * W * A, 4)`` of a level apart.

    On a grid, left and right depend on the column alone, top and bottom on the row alone: the overlap in x and in y is
    then worked out once a column and once a row.
    """
    if len(anchors) % (size[0] * size[1]):
        raise ValueError(f'{len(anchors)} anchors do not fill a level of {size[0]} x {size[1]} cells')
    left, top, right, bottom = anchors.float().view(*size, -1, 4).permute(3, 2, 0, 1)
    columns, rows = (left, right), (top, bottom)
    if all(torch.equal(side, side[:, :1].expand_as(side)) for side in columns) and all(
            torch.equal(side, side[:, :, :1].expand_as(side)) for side in rows):
        return AnchorSides(left[:, :1], top[:, :, :1], right[:, :1], bottom[:, :, :1])
    return AnchorSides(left, top, right, bottom)


def _best_overlaps(sides: AnchorSides, boxes: Tensor, pixel: float) -> Tensor:
    """IoU of each box ``(G, 4)`` with the best anchor of each cell, ``(G, H * W)``."""
    left, top, right, bottom = sides
    x1, y1, x2, y2 = boxes.t()[:, :, None, None, None]
    width = (torch.minimum(right, x2) - torch.maximum(left, x1) + pixel).clamp_(min=0)
    height = (torch.minimum(bottom, y2) - torch.maximum(top, y1) + pixel).clamp_(min=0)
    overlap = width * height  # (G, A, H, W)
    area = (right - left + pixel) * (bottom - top + pixel)
    union = (area + (x2 - x1 + pixel) * (y2 - y1 + pixel)).sub_(overlap).clamp_(min=EPSILON)
    return overlap.div_(union).amax(1).flatten(1)
