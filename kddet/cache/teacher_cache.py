"""A teacher whose outputs are read from the disk where they are, and computed and written where they are not."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from torch import Tensor

from kddet.recording.recorder import Records
from kddet.teachers.base import BaseTeacher

from .budget import Budget
from .flips import flipped, others
from .keys import autocast_precision, picture_key, teacher_key
from .layout import take_apart
from .pipeline import Replay
from .reading import CachedRecords
from .store import Store
from .writing import Writer

DTYPES = 'float32', 'float16', 'bfloat16'
ON_MISS = 'write', 'compute'
THREADS = 4


class TeacherCache:
    """Keeps what the methods read of the teacher, picture by picture: maps of backbone, neck and dense heads.

    Where every picture of a batch is there, the teacher does not run; otherwise it runs on the whole batch, as without
    a cache, and what is missing is written. Where the pipeline flips pictures last, the other flips are computed and
    written with the first, so that one epoch fills the cache. A RoI head always runs, on the features that are kept,
    because its RoIs are the student's.

    What is read back is bit for bit what was computed, unless ``dtype`` rounds it. What a live teacher computes depends
    in its last bits on the size of the batch and on the machine (threads, GPU), not on which pictures are in the batch;
    so with batches of one size on one machine, losses and gradients are those of a live teacher bit for bit.

    A picture is found by the teacher's weights and config, what is read of it, the picture's id and file, its size, its
    scale, its flip, and the size of the batch: padding reaches into a picture through the convolutions. Where batches
    are padded to their largest picture, it is found again only in a batch of the same size; a ``Pad`` in the pipeline
    or a ``BatchFixedSizePad`` in the data preprocessor makes that always.

    Args:
        dir: a folder; teachers and runs can share one.
        dtype: ``'float32'``, ``'float16'`` or ``'bfloat16'`` to round to; None keeps what the teacher gives.
        max_gb: refuse a cache that will take more in ``dir``, of 10^9 bytes, with others that are there; None goes by
            the free disk alone.
        on_miss: ``'write'``, or ``'compute'``: write nothing, and let the teacher run live where the pipeline cannot be
            replayed.
        replayable: names of transforms of your own that give the same pixels for the same picture, size and flip.

    Raises:
        ValueError: an argument that is none of these.
    """

    def __init__(self, dir: str, dtype: str | None = None, max_gb: float | None = None, on_miss: str = 'write',
                 replayable: Sequence[str] = ()) -> None:
        if dtype not in (None, *DTYPES):
            raise ValueError(f'dtype of the teacher cache is {dtype!r}, allowed are None, {", ".join(DTYPES)}')
        if on_miss not in ON_MISS:
            raise ValueError(f'on_miss of the teacher cache is {on_miss!r}, allowed are {", ".join(ON_MISS)}')
        if max_gb is not None and not max_gb > 0:
            raise ValueError(f'max_gb of the teacher cache is {max_gb}, it must be more than 0')
        self.dir, self.dtype, self.max_gb = Path(dir).expanduser(), dtype, max_gb
        self.on_miss, self.replayable = on_miss, tuple(replayable)
        self.opened = False
        self.seen = self.found = 0
        self.shapes: set[tuple[int, ...]] = set()

    def __deepcopy__(self, memo: dict) -> TeacherCache:
        return self

    def bind(self, teacher: BaseTeacher, taps: Iterable[str], name: str, options: dict) -> None:
        """Say whose outputs are kept.

        Args:
            taps: of all methods that are ever on, so that a schedule does not change what an entry holds.
            name: of the teacher, for people.
            options: of the teacher that change what it gives.
        """
        self.teacher, self.taps, self.name, self.options = teacher, list(taps), name, options

    def folder(self, replay: Replay) -> Path:
        """Of the entries of this teacher, of what is read of it, and of pictures that are made in this way."""
        return self.dir / teacher_key(self.teacher, self.taps, dtype=self.dtype, pixels=replay.pixels,
                                      options=self.options)

    def open(self, replay: Replay | None, pictures: int) -> None:
        """Say what the data are; :class:`kddet.TeacherCacheHook` does it before training.

        Args:
            replay: of :func:`kddet.cache.check_pipelines`; None runs the teacher live.
            pictures: how many there are.
        """
        self.opened, self.live = True, replay is None
        self.replay = replay or Replay()
        own = self.folder(self.replay)
        self.store, self.pool = Store(own), ThreadPoolExecutor(THREADS, 'teacher-cache')
        self.writer = Writer(
            self.store, self.pool, Budget(self.dir, own, self.max_gb), self.dtype, pictures=pictures,
            states=len(self.replay.flips) * self.replay.sizes, about=dict(
                teacher=self.name, sha256=self.teacher.checkpoint_hash, taps=self.taps, dtype=self.dtype,
                options=self.options, pixels=self.replay.pixels))
        self.store.remove_abandoned()

    def record(self, inputs: Tensor, samples: list, taps: Iterable[str]) -> Records:
        """What :meth:`kddet.FrozenTeacher.record` gives; :meth:`wait` comes before it is read.

        Args:
            inputs: ``(N, 3, H, W)``, as the student's data preprocessor gave it.
            samples: N data samples.
            taps: those that are read now.

        Raises:
            ValueError: it was not opened, or will not fit.
        """
        taps = list(taps)
        if not self.opened:
            raise ValueError("the teacher cache does not know the data: add custom_hooks=[dict(type='kddet."
                             "TeacherCacheHook')] to the config, as kddet's tools/train.py does")
        if self.live:
            return self.teacher.record(inputs, samples, taps)
        keys = self._keys(inputs, samples, flips_now(samples))
        self.seen += len(keys)
        self.shapes.add(tuple(inputs.shape[2:]))
        if not all(key in self.store for key in keys):
            return self._compute(inputs, samples, taps)
        self.found += len(keys)
        records = CachedRecords(taps, [self.pool.submit(self.store.read, key) for key in keys], inputs.device,
                                lambda: self._compute(inputs, samples, taps))
        records.class_map = self.teacher.class_map
        return records

    def wait(self, records: Records) -> None:
        """Have everything there that :meth:`record` began to read."""
        if isinstance(records, CachedRecords):
            records.wait()

    def holds(self, store: Store, inputs: Tensor, samples: list) -> int:
        """How many pictures of a batch are in a store, as they are flipped and padded now."""
        return sum(key in store for key in self._keys(inputs, samples, flips_now(samples)))

    def fill(self, inputs: Tensor, samples: list) -> None:
        """Compute and write what is missing of a batch, by all flips."""
        self.shapes.add(tuple(inputs.shape[2:]))
        now = flips_now(samples)
        self._fill(inputs, samples, [now, *self._other_flips(now)])

    def close(self) -> None:
        """Wait until everything is written."""
        if self.opened:
            self.writer.finish()

    def report(self) -> str:
        """How many pictures were found since the last report, in one line."""
        share = f'{self.found} of {self.seen} pictures'
        self.seen = self.found = 0
        more = f'; batches of {len(self.shapes)} sizes' if len(self.shapes) > 1 else ''
        return f'teacher cache: {share} read from {self.dir}{more}'

    def _compute(self, inputs: Tensor, samples: list, taps: list[str]) -> Records:
        """Live, on the whole batch; with what will be asked for later, where it is to be written."""
        if self.on_miss == 'compute' or self.writer.stopped:
            return self.teacher.record(inputs, samples, taps)
        records, now = self.teacher.record(inputs, samples, self.taps), flips_now(samples)
        self._write(records, self._keys(inputs, samples, now))
        self._fill(inputs, samples, self._other_flips(now))
        return records.of_taps(taps)

    def _fill(self, inputs: Tensor, samples: list, wanted: list[list[str | None]]) -> None:
        now = flips_now(samples)
        for flips in wanted:
            keys = self._keys(inputs, samples, flips)
            if not self.writer.stopped and not all(key in self.store for key in keys):
                self._write(self.teacher.record(flipped(inputs, samples, now, flips), samples, self.taps), keys)

    def _write(self, records: Records, keys: list[str]) -> None:
        self.writer.write(*take_apart(records, self.taps, len(keys)), keys)

    def _other_flips(self, now: list[str | None]) -> list[list[str | None]]:
        return others(self.replay.flips, now) if self.replay.mirrored else []

    def _keys(self, inputs: Tensor, samples: list, flips: Sequence[str | None]) -> list[str]:
        precision = autocast_precision(inputs.device)
        return [picture_key(sample, inputs.shape[2:], flip, precision) for sample, flip in zip(samples, flips)]


def flips_now(samples: list[Any]) -> list[str | None]:
    """The direction of each picture's flip, None for none."""
    return [sample.metainfo.get('flip_direction') if sample.metainfo.get('flip', True) else None for sample in samples]
