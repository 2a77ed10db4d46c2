"""Whether a loss can change any parameter of the student at all: read off the autograd graph, nothing is computed."""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor, nn

REENTRANT = 'CheckpointFunctionBackward'  # hides the parameters inside it


def reaches(loss: Tensor, parameters: Iterable[nn.Parameter]) -> bool:
    """Whether the graph of ``loss`` leads to one of the parameters, or into activation checkpointing.

    Example:
        >>> from torch import nn
        >>> layer, other = nn.Linear(2, 1), nn.Linear(2, 1)
        >>> loss = layer.weight.sum() * 0
        >>> reaches(loss, layer.parameters()), reaches(loss, other.parameters())
        (True, False)
    """
    wanted = {id(parameter) for parameter in parameters}
    return any(id(getattr(node, 'variable', None)) in wanted or REENTRANT in node.name() for node in nodes_of(loss))


def nodes_of(loss: Tensor) -> Iterator[Any]:
    """The nodes of the autograd graph behind a loss, each once; those of parameters have a ``variable``."""
    waiting, seen = [loss.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            yield node
            waiting += [parent for parent, _ in node.next_functions]
