"""Memory of a CPU that a training step frees is kept for the next one."""
from __future__ import annotations

import ctypes
import os
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # glibc's names for them in mallopt
NEVER, LARGEST = 2**31 - 1, 2**25  # bytes; 32 MiB is the most that glibc lets the second be


def keep_freed_memory() -> bool:
    """Let glibc keep what is freed, for this process.

    By itself it gives the end of its heap back to the system each time the teacher or a step is done, and each step
    asks for the same pages again: a tenth of the distillation step of a small detector. Peaks stay what they are.
    Where the user has settings of that kind, or another allocator, nothing is done.

    Returns:
        Whether it does.
    """
    own = any(name.startswith('MALLOC_') or name in ('GLIBC_TUNABLES', 'LD_PRELOAD') for name in os.environ)
    if own or not sys.platform.startswith('linux'):
        return False
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    return mallopt is not None and bool(mallopt(MMAP_THRESHOLD, LARGEST) and mallopt(TRIM_THRESHOLD, NEVER))
