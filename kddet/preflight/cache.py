"""The cache of a teacher: what it keeps and where, whether that fits, and how much is there already."""
from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from mmengine.device import get_device
from torch import Tensor

from kddet.cache import Replay, check_pipelines
from kddet.cache.pipeline import ADVICE

from .report import NOTE, OK, STOP, Line

TOPIC = 'cache'
PROBED = 4  # pictures of the training data, together in one batch
FILL = "python tools/cache_teacher.py CONFIG fills it ahead, without on_miss='compute'"
ONE_SIZE = ('is it a cache of other pictures? Those of this run are found again in batches of one size: '
            "dict(type='Pad', size=(width, height)) in the pipeline, or BatchFixedSizePad in the data preprocessor")


def cache_lines(runner: Any, model: Any) -> list[Line]:
    """One line for each teacher with a cache.

    Args:
        runner: MMEngine's, whose training data is looked at.
        model: the Distiller.
    """
    return [_line(runner, model, cache).of(name) for name, cache in getattr(model, 'teacher_caches', {}).items()]


def _line(runner: Any, model: Any, cache: Any) -> Line:
    try:
        replay = check_pipelines(runner.cfg, cache.replayable)
    except ValueError as error:
        return _not_replayed(cache, str(error).removesuffix(f'; {ADVICE}'))
    try:
        return _replayed(runner, model, cache, replay)
    except Exception as error:  # data sets and taps of the user's own may fail in any way; training says how
        return Line(TOPIC, NOTE, f'{str(cache.dir)!r}: what it will take is not known ({type(error).__name__}: '
                    f'{error})'.partition('\n')[0], 'look at it in the first steps', [_kept(cache)])


def _not_replayed(cache: Any, reason: str) -> Line:
    if cache.on_miss == 'compute':
        return Line(TOPIC, NOTE, f'not used, the teacher runs each time: {reason}',
                    'take that out of the pipeline, or leave the cache out')
    return Line(TOPIC, STOP, reason, ADVICE)


def _replayed(runner: Any, model: Any, cache: Any, replay: Replay) -> Line:
    from kddet.cache.budget import GB, Budget, estimate  # with safetensors, which a run without a cache does not need
    from kddet.cache.store import Store
    from kddet.hooks.teacher_cache import count_pictures
    loader = runner.train_loop.dataloader
    data = _batch(loader, model)
    pictures, states = count_pictures(loader.dataset), len(replay.flips) * replay.sizes
    store = Store(cache.folder(replay))
    entry, entries = _entry_bytes(runner, cache, data), store.count()
    budget = Budget(cache.dir, store.folder, cache.max_gb)
    text = f'{str(cache.dir)!r}: {estimate(entry, pictures, states)}'
    writes = cache.on_miss == 'write'
    if writes and (problem := budget.problem(entry * pictures * states)):
        return Line(TOPIC, STOP, text + problem[0], problem[1], [_kept(cache)])
    limit = '' if cache.max_gb is None else f'max_gb is {cache.max_gb:g}, '
    there = min(entries // states, pictures)
    text += f'; {limit}{budget.free / GB:.3g} GB are free; {there} of {pictures} pictures are in it'
    if not writes and not entries:
        return Line(TOPIC, NOTE, f'{text}, and none is written', FILL, [_kept(cache)])
    if entries and not cache.holds(store, data['inputs'], data['data_samples']):
        return Line(TOPIC, NOTE, f'{text}, and none of {len(data["data_samples"])} that were looked for', ONE_SIZE,
                    [_kept(cache)])
    return Line(TOPIC, OK, text, details=[_kept(cache)])


def _kept(cache: Any) -> str:
    return f'keeps {", ".join(cache.taps)} of the teacher, {cache.dtype or "as computed"}'


def _batch(loader: Any, model: Any) -> dict:
    """Training pictures, evenly chosen, as the network gets them."""
    count = len(loader.dataset)
    chosen = dict.fromkeys(index * count // PROBED for index in range(PROBED))
    return model.data_preprocessor(loader.collate_fn([loader.dataset[index] for index in chosen]), True)


def _entry_bytes(runner: Any, cache: Any, data: dict) -> float:
    """Of a picture, the mean of a batch."""
    from kddet.cache.layout import take_apart
    amp = str(runner.cfg.optim_wrapper.get('type')).endswith('AmpOptimWrapper')
    with torch.autocast(get_device()) if amp else nullcontext():
        records = cache.teacher.record(data['inputs'], data['data_samples'], cache.taps)
    tensors, _ = take_apart(records, cache.taps, len(data['data_samples']))
    return sum(tensor.numel() * _width(tensor, cache.dtype) for tensor in tensors) / len(data['data_samples'])


def _width(tensor: Tensor, dtype: str | None) -> int:
    """Bytes of a number, rounded as it will be."""
    return getattr(torch, dtype).itemsize if dtype and tensor.is_floating_point() else tensor.element_size()
