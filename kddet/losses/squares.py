"""The sum of squares of a difference that is made for it alone."""
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .chunks import chunks


def sum_of_squares(difference: Tensor) -> Tensor:
    """A scalar; nothing is kept for the backward pass but the difference, and it can be differentiated once.

    Args:
        difference: any shape, float32 or float64.
    """
    return _SumOfSquares.apply(difference)


class _SumOfSquares(torch.autograd.Function):

    @staticmethod
    def forward(ctx: Any, difference: Tensor) -> Tensor:
        ctx.save_for_backward(difference)
        total = difference.new_zeros(())
        if difference.numel():
            for part, in chunks(difference.reshape(-1)):  # a part at a time: squares of all would be as large again
                total += part.square().sum()
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, total: Tensor) -> Tensor:
        difference, = ctx.saved_tensors
        return difference * (2 * total)
