"""Whether tensors are numbers throughout."""
from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

import torch
from torch import Tensor, nn

STATISTICS = 'running_mean', 'running_var'  # buffers that are learned


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether no tensor holds inf or nan; the device is waited for once.

    By their sums, which are inf or nan where some element is, and read memory once; where one is, element by element,
    for large numbers can have such a sum too.
    """
    values = [tensor.coalesce().values() if tensor.is_sparse else tensor.detach() for tensor in tensors]
    sums = [value.sum(dtype=torch.promote_types(value.dtype, torch.float32)) for value in values]
    if not sums or bool(torch.stack([value.to(sums[0]) for value in sums]).isfinite().all()):
        return True
    return all(bool(value.isfinite().all()) for value in values)


def broken_tensors(model: nn.Module) -> list[str]:
    """Names of parameters with inf or nan in them, and of buffers with nan: masks of attention hold inf."""
    named = chain(((name, own, True) for name, own in model.named_parameters()),
                  ((name, own, False) for name, own in model.named_buffers()))
    return [name for name, own, learned in named if own.is_floating_point()
            and bool((~own.isfinite() if learned or name.endswith(STATISTICS) else own.isnan()).any())]
