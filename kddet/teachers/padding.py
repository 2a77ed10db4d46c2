"""Pictures padded to what a detector was built for, and its maps cut back to what they are of the pictures alone."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.nn import functional as F


def pad_to_multiple(inputs: Tensor, divisor: int, value: float) -> Tensor:
    """``(N, C, H, W)`` with rows below and columns at the right, to sides that ``divisor`` divides."""
    bottom, right = (-side % divisor for side in inputs.shape[2:])
    return F.pad(inputs, (0, right, 0, bottom), value=value) if bottom or right else inputs


def cut(value: Any, padded: Sequence[int], size: Sequence[int]) -> Any:
    """Maps of a padded batch, alone or nested, without the cells that begin beyond the pictures; others as they are.

    Args:
        padded: ``(N, C, H, W)``, the shape of the padded batch.
        size: (height, width) without its padding, which lies at the right and the bottom.

    Example:
        >>> import torch
        >>> cut(torch.rand(2, 8, 4, 4), (2, 3, 64, 64), (40, 64)).shape
        torch.Size([2, 8, 3, 4])
    """
    if isinstance(value, (tuple, list)):
        return tuple(cut(item, padded, size) for item in value)
    if not isinstance(value, Tensor) or value.dim() != 4 or len(value) != padded[0]:
        return value
    height, width = map(cells_of, value.shape[2:], padded[2:], size)
    return value[:, :, :height, :width]


def cells_of(cells: int, padded: int, side: int) -> int:
    """How many cells ``side`` pixels have, where ``padded`` pixels have ``cells``: strides are powers of two."""
    stride = next((2**n for n in range(9) if -(-padded // 2**n) == cells), padded / cells)
    return math.ceil(side / stride)
