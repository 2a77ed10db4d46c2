"""Records that are still being read from the disk while the student runs."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future

import torch

from kddet.recording.recorder import Records

from .layout import put_together


class CachedRecords(Records):
    """The teacher's records of a batch, whose entries other threads read; :meth:`wait` comes before what they hold.

    Args:
        taps: those that are asked for.
        entries: one a picture, of :meth:`kddet.cache.store.Store.read`.
        device: of the records.
        live: runs the teacher, where an entry turns out to be damaged.
    """

    def __init__(self, taps: Iterable[str], entries: list[Future], device: torch.device,
                 live: Callable[[], Records]) -> None:
        super().__init__(taps, 'teacher')
        self._entries, self._device, self._live = entries, device, live

    def wait(self) -> None:
        """Have every tensor there."""
        entries = [entry.result() for entry in self._entries]
        self._entries = []  # or each would be kept beside the batch that it becomes part of
        whole = all(entry and entry[1] == entries[0][1] for entry in entries)
        records = put_together([entry[0] for entry in entries], entries[0][1], self, self._device) if whole \
            else self._live()
        self.extend(records)
        self.features = records.features
