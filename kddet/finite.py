"""Whether tensors are numbers throughout."""
from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

import torch
from torch import Tensor, nn

STATISTICS = 'running_mean', 'running_var'  # buffers that are learned


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether no tensor holds inf or nan; the device is waited for once."""
    values = [tensor.coalesce().values() if tensor.is_sparse else tensor.detach() for tensor in tensors]
    largest = [torch.linalg.vector_norm(value, torch.inf) for value in values if value.numel()]
    return not largest or bool(torch.stack([value.to(largest[0]) for value in largest]).isfinite().all())


def broken_tensors(model: nn.Module) -> list[str]:
    """Names of parameters with inf or nan in them, and of buffers with nan: masks of attention hold inf."""
    named = chain(((name, own, True) for name, own in model.named_parameters()),
                  ((name, own, False) for name, own in model.named_buffers()))
    return [name for name, own, learned in named if own.is_floating_point()
            and bool((~own.isfinite() if learned or name.endswith(STATISTICS) else own.isnan()).any())]
