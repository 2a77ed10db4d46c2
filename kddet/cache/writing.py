"""Entries on their way to the disk, while training goes on."""
from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, Future

import torch
from mmengine.logging import print_log
from torch import Tensor

from .budget import Budget
from .store import Store


class Writer:
    """Writes what is missing of a batch in other threads, one batch at a time, and stops where the room ends.

    Args:
        store: where to.
        pool: the threads.
        budget: is asked before the first entry, and for each batch.
        dtype: to round to, None for what the teacher gives.
        pictures, states: how many entries there will be, for the first question.
        about: what to write beside the entries, for people.
    """

    def __init__(self, store: Store, pool: Executor, budget: Budget, dtype: str | None, *, pictures: int, states: int,
                 about: dict) -> None:
        self.store, self.pool, self.budget, self.dtype = store, pool, budget, dtype
        self.pictures, self.states, self.about = pictures, states, about
        self.stopped = self._begun = False
        self.reason = ''  # why it stopped
        self._writing: list[Future] = []

    def write(self, tensors: Sequence[Tensor], layout: str, keys: Sequence[str]) -> None:
        """Give what is missing to the threads, once they are done with the batch before.

        Args:
            tensors: ``(N, ...)``, of the pictures of ``keys``.
            layout: of :func:`kddet.cache.layout.take_apart`.

        Raises:
            ValueError: before anything is written: it will not fit, or not be a number in ``dtype``.
        """
        self.finish()
        kept = [self._rounded(tensor) for tensor in tensors]
        entry = sum(tensor.numel() * tensor.element_size() for tensor in kept) / len(keys)
        self._begin(entry)
        missing = [index for index, key in enumerate(keys) if key not in self.store]
        if not self.budget.allows(entry * len(missing)):
            self._stop('max_gb is reached, because batches are padded to more sizes than one')
        if not self.stopped:
            self._writing = [self.pool.submit(self.store.write, keys[index], {
                str(number): tensor[index] for number, tensor in enumerate(kept)}, layout) for index in missing]

    def finish(self) -> None:
        """Wait until everything is written."""
        writing, self._writing = self._writing, []
        try:
            self.budget.written += sum(done.result() for done in writing)
        except OSError as error:
            self._stop(str(error))

    def _begin(self, entry: float) -> None:
        if not self._begun:
            self.budget.check(entry, self.pictures, self.states)
            self.store.describe(self.about)
            self._begun = True

    def _rounded(self, tensor: Tensor) -> Tensor:
        kept = tensor.detach().cpu()
        if self.dtype is None or not tensor.is_floating_point():
            return kept
        rounded = kept.to(getattr(torch, self.dtype))
        if not rounded.isfinite().all() and kept.isfinite().all():
            raise ValueError(f'the teacher gives values up to {kept.abs().max():.3g}, beyond the {self.dtype} of its '
                             "cache; take dtype='bfloat16', or None")
        return rounded

    def _stop(self, reason: str) -> None:
        self.stopped, self.reason = True, reason
        print_log(f'teacher cache: nothing more is written, and what is missing is computed each time: {reason}',
                  'current', level=30)
