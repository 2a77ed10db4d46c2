"""SIGTERM leaves a tool as an exit does; processes that it forks die of it, as they would without a tool."""
from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

CODE = 143  # of a process that SIGTERM ended, as shells have it
_masks = threading.local()  # of the thread that forks: the signals that it had blocked before


@contextlib.contextmanager
def orderly_termination() -> Iterator[None]:
    """Turn SIGTERM into an exit with code 143, so that ``finally`` clauses run, until the block is left.

    Forked processes get the system's own SIGTERM back: ``multiprocessing.Pool`` ends its workers by it, and waits for
    ever for one that is inside a system call and would run a handler of Python's only after it.
    """
    earlier = signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if earlier is None else earlier)


def _leave(signum: int, frame: FrameType | None) -> None:
    sys.exit(CODE)


def _before_fork() -> None:
    """A signal that reaches the child before it has the system's handler waits: Python would drop it."""
    ours = signal.getsignal(signal.SIGTERM) is _leave
    _masks.earlier = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM}) if ours else None


def _in_parent() -> None:
    if _masks.earlier is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, _masks.earlier)


def _in_child() -> None:
    if _masks.earlier is not None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, _masks.earlier)


if hasattr(os, 'register_at_fork'):  # once, whatever the number of tools that run in this process
    os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_in_child)
