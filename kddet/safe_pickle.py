"""Which objects a checkpoint may hold besides tensors: what MMEngine stores, and nothing else.

These are the history buffers of the log, and numpy arrays and scalars inside them and in the metadata. A history buffer
pickles its four statistics as ``getattr(HistoryBuffer, name)``: only these four are answered, by a function of ours.
"""
from __future__ import annotations

import pickle
from collections import Counter, OrderedDict, defaultdict
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from packaging.version import Version

# torch >= 2.6 knows (object, name) pairs and loads with weights_only=True by default
TORCH_HAS_ALLOW_LIST = Version(torch.__version__) >= Version('2.6')
STATISTICS = ('min', 'max', 'mean', 'current')
DTYPES = ('f2', 'f4', 'f8', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', '?', 'U1', 'S1')


def _history_statistic(owner: Any, name: str) -> Any:
    if owner is HistoryBuffer and name in STATISTICS:
        return getattr(owner, name)
    raise pickle.UnpicklingError(f'Unsupported global: GLOBAL getattr({owner!r}, {name!r})')


def _mmengine_objects() -> dict[str, Any]:
    multiarray = np._core.multiarray if hasattr(np, '_core') else np.core.multiarray  # type: ignore[attr-defined]
    objects = {f'numpy.{package}.multiarray.{name}': getattr(multiarray, name)  # the names of numpy 1 and numpy 2
               for package in ('core', '_core') for name in ('scalar', '_reconstruct')}
    objects |= {f'{kind.__module__}.{kind.__qualname__}': kind
                for kind in (HistoryBuffer, np.ndarray, np.dtype, defaultdict, *(type(np.dtype(d)) for d in DTYPES))}
    return {**objects, 'builtins.getattr': _history_statistic}


ALLOWED = _mmengine_objects()


def allow_mmengine_objects() -> None:
    """Tell ``torch.load(weights_only=True)``, the Runner's ``--resume`` included.

    The list is global to torch, and others take types off it again (onedl-mmengine after each load).
    """
    if TORCH_HAS_ALLOW_LIST:
        torch.serialization.add_safe_globals([(value, name) for name, value in ALLOWED.items()])


class RestrictedUnpickler(pickle.Unpickler):
    """For torch < 2.6, which has no such list: builds tensors, plain containers and what MMEngine stores."""

    plain = {f'{kind.__module__}.{kind.__qualname__}': kind for kind in (
        OrderedDict, Counter, set, frozenset, complex, bytearray, torch.Size, torch.device,
        torch._utils._rebuild_tensor_v2, torch._utils._rebuild_parameter)}

    def find_class(self, module: str, name: str) -> Any:
        full_name = f'{module}.{name}'.replace('__builtin__.', 'builtins.')
        if full_name == '_codecs.encode':  # how bytes are written in pickle protocol 2
            return super().find_class(module, name)
        if module == 'torch' and isinstance(value := getattr(torch, name, None), torch.dtype):
            return value
        for table in (ALLOWED, self.plain):
            if full_name in table:
                return table[full_name]
        raise pickle.UnpicklingError(f'Unsupported global: GLOBAL {full_name}')


def _load(file, **options) -> Any:
    return RestrictedUnpickler(file, **options).load()


# a stand-in for the pickle module, as torch.load(pickle_module=...) takes it
restricted_pickle = SimpleNamespace(__name__='kddet.safe_pickle', Unpickler=RestrictedUnpickler, load=_load)
