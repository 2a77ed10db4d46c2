"""Time and memory of things side by side in one process."""
from __future__ import annotations

import ctypes
import gc
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch


def median_seconds(measured: Mapping[str, Callable[[], object]], iters: int, device: str) -> dict[str, float]:
    """Each in turn, again and again, so that what else the machine does falls on all of them.

    Args:
        iters: how often each is measured, after one time to warm up.
    """
    times: dict[str, list[float]] = {name: [] for name in measured}
    for _ in range(iters + 1):
        for name, call in measured.items():
            _wait(device)
            start = time.perf_counter()
            call()
            _wait(device)
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values[1:]) for name, values in times.items()}


def peak_memory(call: Callable[[], object], device: str) -> float:
    """MiB that ``call`` takes at its peak beyond what was there: of torch's allocator on a GPU, resident on a CPU.

    Raises:
        OSError, AttributeError: on a CPU without Linux's ``/proc`` and glibc.
    """
    if device != 'cpu':
        _wait(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        _wait(device)
        return (torch.cuda.max_memory_allocated(device) - before) / 2**20
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what was freed goes back, or it would be taken again unseen
    Path('/proc/self/clear_refs').write_text('5')  # the peak begins anew
    before = _resident('VmRSS')
    call()
    return (_resident('VmHWM') - before) / 1024


def _resident(key: str) -> int:
    """KiB of the process that are in memory, or were at most."""
    line, = (line for line in Path('/proc/self/status').read_text().splitlines() if line.startswith(key))
    return int(line.split()[1])


def _wait(device: str) -> None:
    if device != 'cpu':
        torch.cuda.synchronize(device)
