"""Backbone and neck of a detector compiled by torch, for as long as they are asked to be."""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from kddet.recording.taps import INPUT, module_of

PARTS = ('backbone', 'neck')


class CompiledFeatures:
    """``torch.compile`` of what :meth:`extract_feat` calls; compiling takes place in the first forward of a shape.

    The module keeps its own ``forward`` outside :meth:`running`, so that evaluation of the teacher, pictures of any
    size, compiles nothing.

    Args:
        detector: its ``backbone`` and ``neck`` are compiled, each as a whole.
    """

    def __init__(self, detector: Any) -> None:
        self._modules = [getattr(detector, part) for part in PARTS if getattr(detector, part, None) is not None]
        self._compiled = [torch.compile(module.forward) for module in self._modules]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Forwards inside run compiled; hooks on backbone and neck themselves fire, none deeper inside do."""
        try:
            for module, compiled in zip(self._modules, self._compiled):
                module.forward = compiled
            yield
        finally:
            for module in self._modules:
                vars(module).pop('forward', None)


def check_compiled_taps(taps: Iterable[str]) -> None:
    """Refuse taps that a compiled forward does not pass by.

    Raises:
        ValueError: names them.
    """
    inside = [tap for tap in taps if module_of(tap).startswith(tuple(f'{part}.' for part in PARTS))]
    if inside:
        raise ValueError(f"compile=True of the teacher: taps {', '.join(inside)} lie inside what is compiled; tap "
                         f"{' or '.join(PARTS)}, their inputs ('neck{INPUT}'), or heads, or leave compile out")
