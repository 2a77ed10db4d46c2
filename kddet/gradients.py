"""Whether a loss can change any parameter of the student at all: read off the autograd graph, nothing is computed."""
from __future__ import annotations

from collections.abc import Iterable

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
    waiting, seen = [loss.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if id(getattr(node, 'variable', None)) in wanted or REENTRANT in node.name():
            return True
        waiting += [parent for parent, _ in node.next_functions]
    return False
