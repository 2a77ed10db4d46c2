"""How the gradient of one loss stands to that of another, on the parameters that both change."""
from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Gradients = Mapping[nn.Parameter, Tensor]


@dataclass(frozen=True)
class Agreement:
    """One gradient beside another.

    Attributes:
        ratio: of its norm to the other's.
        cosine: of the angle between them; NaN where one is 0.
        shared: number of parameters (tensors) that both losses reach.
    """
    ratio: float
    cosine: float
    shared: int


def gradients(loss: Tensor, parameters: Sequence[nn.Parameter], scale: float = 1.0) -> dict[nn.Parameter, Tensor]:
    """The gradient of a loss on those of the parameters that it reaches; graph and ``.grad`` stay as they are.

    Args:
        scale: of the loss during the computation, against underflow in half precision; the result is without it.
    """
    found = torch.autograd.grad(loss * scale, parameters, retain_graph=True, allow_unused=True)
    return {parameter: gradient.float() / scale for parameter, gradient in zip(parameters, found)
            if gradient is not None}


def agreement(own: Gradients, other: Gradients) -> Agreement:
    """Norms and angle over the parameters that are in both.

    Example:
        >>> a, b = (nn.Parameter(torch.zeros(2)) for _ in range(2))
        >>> agreement({a: torch.tensor([0., 3.])}, {a: torch.tensor([0., -6.]), b: torch.ones(2)})
        Agreement(ratio=0.5, cosine=-1.0, shared=1)
    """
    shared = [parameter for parameter in own if parameter in other]
    if not shared:
        return Agreement(math.nan, math.nan, 0)
    products = torch.stack([torch.stack([_dot(own[p], own[p]), _dot(other[p], other[p]), _dot(own[p], other[p])])
                            for p in shared]).sum(0)
    first, second, both = products.tolist()
    length = math.sqrt(first) * math.sqrt(second)
    return Agreement(math.sqrt(first / second) if second else math.nan, both / length if length else math.nan,
                     len(shared))


@contextmanager
def buffers_kept(module: nn.Module) -> Iterator[None]:
    """Leave buffers as they are: activation checkpointing runs layers again, and batch norm counts that.

    They are written behind autograd's back, because a graph that waits for its backward refers to them.
    """
    before = [(buffer, buffer.clone()) for buffer in module.buffers()]
    try:
        yield
    finally:
        for buffer, value in before:
            buffer.data.copy_(value)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return torch.dot(a.flatten().double(), b.flatten().double())
