"""Time and memory of things side by side in one process."""
from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping
from itertools import accumulate

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile


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
    """MiB of tensors that ``call`` holds at its peak beyond what was there, as torch's allocator counts them.

    On a CPU, what libraries take for themselves while they compute (oneDNN's scratch, packed weights) is not among it,
    and tensors from before that ``call`` frees are not taken off: free them first.
    """
    if device != 'cpu':
        _wait(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        _wait(device)
        return (torch.cuda.max_memory_allocated(device) - before) / 2**20
    os.environ.setdefault('KINETO_LOG_LEVEL', '99')  # or the profiler says on stderr that it starts and stops
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as traced:
        call()
    events = [event for event in traced.profiler.kineto_results.events()  # type: ignore[union-attr]
              if event.name() == '[memory]' and event.device_type() == DeviceType.CPU]
    order = 'start_ns' if events and hasattr(events[0], 'start_ns') else 'start_us'  # torch before 2.4
    changes = [event.nbytes() for event in sorted(events, key=lambda event: getattr(event, order)())]
    return max(accumulate(changes), default=0) / 2**20


def _wait(device: str) -> None:
    if device != 'cpu':
        torch.cuda.synchronize(device)
