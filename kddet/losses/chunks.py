"""Losses over many rows are computed a part at a time, with the gradient beside the value."""
from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

CHUNK = dict(cpu=2**16, cuda=2**22)  # elements at a time: what a core's cache holds; few launches


def chunks(*tensors: Tensor | None) -> Iterator[tuple]:
    """Parts of tensors of one shape, cut along their first dimensions; None stays None."""
    first = next(tensor for tensor in tensors if tensor is not None)
    most = CHUNK.get(first.device.type, CHUNK['cuda'])
    rows = most * len(first) // first.numel()
    if rows:
        parts = [None if tensor is None else tensor.split(rows) for tensor in tensors]
        for index in range(-(-len(first) // rows)):
            yield tuple(None if part is None else part[index] for part in parts)
    else:
        for index in range(len(first)):
            yield from chunks(*(None if tensor is None else tensor[index] for tensor in tensors))
