"""What a cache will take on the disk, before it takes it."""
from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from mmengine.dist import get_world_size
from mmengine.logging import print_log

from .store import folder_bytes

GB = 10**9


class Budget:
    """Counts what is written, against ``max_gb`` and the free disk.

    Args:
        root: the folder of all caches, which ``max_gb`` is for.
        own: the folder of this one in it.
        max_gb: None leaves the disk as the only limit.
    """

    def __init__(self, root: Path, own: Path, max_gb: float | None) -> None:
        self.root, self.max_gb = root, max_gb
        self.there, self.done = folder_bytes(root), folder_bytes(own)
        self.total = self.written = 0.0
        self.beside: list[Budget] = []  # of other caches that are filled at the same time

    @property
    def coming(self) -> float:
        """What is still to be written, as far as is known."""
        return max(0.0, self.total - self.done - self.written)

    def count_with(self, budgets: Sequence[Budget]) -> None:
        """Count what others take in the same folder, too, that is filled at the same time.

        Args:
            budgets: of all caches of a run.
        """
        self.beside = [other for other in budgets if other is not self and other.root == self.root]

    def check(self, entry: float, pictures: int, states: int) -> None:
        """Refuse a cache that will not fit, from the size of one entry.

        Args:
            entry: bytes of a picture, the mean of a batch.
            pictures: of the data set.
            states: flips times sizes of a picture.

        Raises:
            ValueError: with what it would take, and what there is.
        """
        what = f'the teacher cache in {str(self.root)!r} will take {estimate(entry, pictures, states)}'
        self.total = entry * pictures * states
        if problem := self.problem(self.total):
            raise ValueError(f'{what}{problem[0]}. {problem[1]}')
        print_log(f'{what}; {self.done / GB:.3g} GB are there', 'current')

    def problem(self, total: float) -> tuple[str, str] | None:
        """Why so many bytes do not fit, and what to do; None where they do."""
        coming = sum(own.coming for own in self.beside)
        others = self.there - self.done + coming + sum(own.written for own in self.beside)
        if self.max_gb is not None and others + total > self.max_gb * GB:
            beside = f', beside {others / GB:.3g} GB of other caches' if others else ''
            return f'{beside}; max_gb is {self.max_gb:g}', f'{SMALLER}, or allow more'
        if total - self.done + coming > self.free:
            return (f', of which {self.done / GB:.3g} GB are there; {self.free / GB:.3g} GB are free on its disk',
                    f'{SMALLER}, or choose another dir')
        return None

    @property
    def free(self) -> int:
        """Bytes on the disk of the folder."""
        return shutil.disk_usage(_existing(self.root)).free

    def allows(self, size: float) -> bool:
        """Whether that much more may be written, where other ranks write as much as this one."""
        written = self.written + sum(own.written for own in self.beside)
        return self.max_gb is None or self.there + (written + size) * get_world_size() <= self.max_gb * GB


def estimate(entry: float, pictures: int, states: int) -> str:
    """What a cache takes, in words; arguments as in :meth:`Budget.check`."""
    return (f'about {entry * pictures * states / GB:.3g} GB ({pictures} pictures x {states} flips and sizes x '
            f'{entry / 1e6:.3g} MB)')


SMALLER = "Take dtype='float16', methods or levels that read less"


def _existing(folder: Path) -> Path:
    return folder if folder.exists() or folder == folder.parent else _existing(folder.parent)
