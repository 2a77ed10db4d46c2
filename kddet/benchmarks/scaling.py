"""How much more two processes train than one."""
from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import init_default_scope
from torch import distributed, multiprocessing

from kddet.command_line.launch import leave
from kddet.command_line.memory import keep_freed_memory

from .markdown import markdown
from .step import build, check_distiller, toy_batch, training_step
from .where import where

PROCESSES = 2


def measure_scaling(cfg: Config, name: str, *, batch: int, height: int, width: int, iters: int) -> dict:
    """A row: pictures a second of two gloo processes on a CPU over twice those of one.

    The two alternate with the one, so that what else the machine does falls on both. Each process has half
    of the threads that torch has here.

    Args:
        cfg: a distillation config.
        name: of the config, for the row.
        batch: images a process.
        height, width: of the images, which are noise.

    Raises:
        ValueError: the config has no methods.
    """
    check_distiller(cfg, name)
    threads = max(1, torch.get_num_threads() // PROCESSES)
    with tempfile.TemporaryDirectory() as folder:
        ready = multiprocessing.get_context('spawn').Barrier(PROCESSES + 1)
        multiprocessing.spawn(_worker, (cfg.to_dict(), (batch, height, width), iters, threads, folder, ready),
                              nprocs=PROCESSES + 1)
        alone, together = json.loads(Path(folder, 'seconds.json').read_text())
    return dict(kind='scaling', config=name, shape=[batch, height, width], iters=iters, efficiency=alone / together,
                **where('cpu', threads))


def scaling_table(rows: list[dict]) -> str:
    """Markdown."""
    return markdown(['config', 'images a process', 'efficiency'], [
        [row['config'], ' x '.join(map(str, row['shape'])), float(row['efficiency'])] for row in rows])


def _worker(rank: int, cfg: dict, shape: tuple[int, int, int], iters: int, threads: int, folder: str, ready) -> None:
    """The last one trains alone: it is in no process group, because the losses of some heads average over one."""
    torch.set_num_threads(threads)
    keep_freed_memory()
    alone = rank == PROCESSES
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    torch.manual_seed(rank)
    if not alone:
        distributed.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=PROCESSES)
    Path(own := f'{folder}/{rank}').mkdir()
    model = build(Config(cfg), own).train()
    inputs, samples = toy_batch(model, *shape)
    wrapped = None if alone else MMDistributedDataParallel(model, broadcast_buffers=False)
    step = training_step(model, inputs, samples, 'cpu', forward=wrapped and partial(wrapped, inputs, samples, 'loss'))
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(iters + 1):
        for found, mine in zip(times, (alone, not alone)):
            found.append(_seconds(step if mine else _nothing, ready))
    if alone:
        Path(folder, 'seconds.json').write_text(json.dumps([statistics.median(found[1:]) for found in times]))
    else:
        leave()


def _seconds(step: Callable[[], object], ready) -> float:
    """From when all are ready until all are done."""
    ready.wait()
    start = time.perf_counter()
    step()
    ready.wait()
    return time.perf_counter() - start


def _nothing() -> None:
    """What a process does while others train."""
