"""Records of a batch taken apart into tensors by picture, and put together again."""
from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from kddet.recording.recorder import Records, call_of
from kddet.recording.rois import roi_taps

FEATURES = 'features'


def take_apart(records: Records, taps: Iterable[str], count: int) -> tuple[list[Tensor], str]:
    """Every tensor that was recorded once, and where each belongs.

    Args:
        records: of a forward of the teacher.
        taps: to keep; those in the RoI head are left to :meth:`kddet.FrozenTeacher.replay`, with the features that it
            runs on.
        count: pictures of the batch.

    Returns:
        Tensors ``(N, ...)``, and a text for :func:`put_together`.

    Raises:
        ValueError: a tap gives what is no tensor of one row a picture.
    """
    taps = list(taps)
    below = roi_taps(taps)
    tensors: list[Tensor] = []
    known: dict[tuple, int] = {}

    def number(value: Any, tap: str) -> int:
        if not isinstance(value, Tensor) or not value.dim() or len(value) != count:
            what = f'{tuple(value.shape)} for {count} pictures' if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f'tap {tap!r} of the teacher gives {what}; a cache keeps tensors by picture, (N, ...): '
                             'tap another module, or leave the cache out')
        same = value.data_ptr(), value.dtype, tuple(value.shape), value.stride()
        if same not in known:
            known[same] = len(tensors)
            tensors.append(value)
        return known[same]
    places: dict[str, Any] = {tap: [_each(value, partial(number, tap=tap)) for value in records.values_of(tap)]
                              for tap in taps if tap not in below}
    if below:
        places[FEATURES] = _each(records.features, partial(number, tap=FEATURES))
    dtypes = [str(tensor.dtype).removeprefix('torch.') for tensor in tensors]
    return tensors, json.dumps(dict(places=places, dtypes=dtypes, formats=[_format(tensor) for tensor in tensors]))


def put_together(entries: Sequence[dict[str, Tensor]], layout: str, taps: Iterable[str],
                 device: torch.device) -> Records:
    """The records of a batch, of the taps that are asked for.

    Args:
        entries: tensors of each picture, by their number.
        layout: of :func:`take_apart`.
        device: of the records.
    """
    described = json.loads(layout)
    joined: dict[int, Tensor] = {}

    def tensor(place: int) -> Tensor:
        if place not in joined:
            dtype, memory = (getattr(torch, described[what][place]) for what in ('dtypes', 'formats'))
            joined[place] = _stacked([entry[str(place)] for entry in entries], dtype, memory, device)
        return joined[place]
    records = Records(taps, 'teacher')
    below = roi_taps(records)
    for tap in records:
        for place in described['places'].get(tap, ()):
            records.add(tap, call_of(tap, _each(place, tensor)))
    records.features = _each(described['places'][FEATURES], tensor) if below else None
    return records


def _each(value: Any, function: Callable[[Any], Any]) -> Any:
    """``function`` of each leaf of nested lists, as tuples; no closure that calls itself, which would keep the tensors
    until the garbage collector comes."""
    if isinstance(value, (tuple, list)):
        return tuple(_each(item, function) for item in value)
    return None if value is None else function(value)


def _stacked(rows: list[Tensor], dtype: torch.dtype, memory: torch.memory_format, device: torch.device) -> Tensor:
    """``(N, ...)`` of the type that the teacher gave; to a GPU in that of the file, which is the smaller."""
    on_gpu = device.type == 'cuda'
    batch = torch.empty((len(rows), *rows[0].shape), dtype=rows[0].dtype if on_gpu else dtype, pin_memory=on_gpu,
                        memory_format=memory)
    for own, row in zip(batch, rows):
        own.copy_(row)
    return batch.to(device, non_blocking=True).to(dtype)


def _format(tensor: Tensor) -> str:
    """How the teacher laid it out in memory: sums over it go by that order."""
    last = tensor.dim() == 4 and not tensor.is_contiguous() and tensor.is_contiguous(memory_format=torch.channels_last)
    return 'channels_last' if last else 'contiguous_format'
