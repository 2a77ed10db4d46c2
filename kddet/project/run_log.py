"""What a training run logged: MMEngine's json, over however many starts it took."""
from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

WORK_DIR = 'give the folder that tools/train.py wrote to, --work-dir or work_dirs/<config name>'
Series = list[tuple[int, float]]  # (iteration or epoch, value), in order


@dataclass(frozen=True)
class Log:
    """Scalars over training.

    Attributes:
        name: of the run.
        train: by the name that is logged, over iterations: losses, learning rate, diagnostics.
        val: of evaluations, over epochs, or over iterations where the run has no epochs.
        by_epoch: whether it has.
    """
    name: str
    train: dict[str, Series] = field(default_factory=dict)
    val: dict[str, Series] = field(default_factory=dict)
    by_epoch: bool = True

    @property
    def terms(self) -> list[str]:
        """Names of the losses, the total first."""
        return sorted((key for key in self.train if 'loss' in key), key=lambda key: key != 'loss')


def read_log(work_dir: str | Path, name: str | None = None) -> Log:
    """The scalars of a run.

    Args:
        work_dir: of the run.
        name: to call it by; the folder's own by default.

    Raises:
        FileNotFoundError: no such folder, or no log in it.
    """
    work_dir = Path(work_dir)
    if not work_dir.is_dir():
        raise FileNotFoundError(f'work dir {str(work_dir)!r} {missing_folder(work_dir)}')
    entries = log_entries(work_dir)
    if not entries:
        raise FileNotFoundError(f'no json log in {str(work_dir)!r}; a work dir has <time>/vis_data/scalars.json, which '
                                f"MMEngine's LocalVisBackend writes{work_dirs_inside(work_dir)}")
    log = Log(name or work_dir.resolve().name, by_epoch=any('epoch' in entry for entry in entries if 'iter' in entry))
    epoch = iteration = 0
    for entry in entries:
        if 'iter' in entry:
            epoch, iteration = entry.get('epoch', epoch), entry['iter']
            _add(log.train, entry, iteration)
        else:  # its step may count epochs in a run that has none
            _add(log.val, entry, epoch if log.by_epoch else max(iteration, entry['step']))
    return log


def missing_folder(work_dir: Path) -> str:
    """What is wrong with a work dir that is none, and what to do."""
    what = 'is a file' if work_dir.is_file() else f'does not exist (working directory: {Path.cwd()})'
    return f'{what}; {WORK_DIR}'


def work_dirs_inside(folder: Path, deep: int = 3, most: int = 8) -> str:
    """What to give in place of a folder of work dirs, as the end of a sentence; empty where it is none."""
    found = sorted({file.parents[2] for depth in range(1, deep + 1)
                    for file in folder.glob('*/' * depth + '*/vis_data/scalars.json')})
    if not found:
        return ''
    more = f' and {len(found) - most} more' if len(found) > most else ''
    return f'; inside it are work dirs, give these: {" ".join(map(str, found[:most]))}{more}'


def read_logs(work_dirs: Sequence[str | Path]) -> list[Log]:
    """The scalars of several runs, called by what tells their folders apart.

    Raises:
        FileNotFoundError: as :func:`read_log`.
    """
    folders = [Path(work_dir).resolve() for work_dir in work_dirs]
    if len({folder.name for folder in folders}) == len(folders):
        return [read_log(folder) for folder in folders]
    common = os.path.commonpath(folders)
    return [read_log(folder, os.path.relpath(folder, common)) for folder in folders]


def log_entries(work_dir: str | Path) -> list[dict]:
    """The lines of MMEngine's json, in order; what a later start did again replaces what an earlier one had logged.

    Lines of training have an ``iter``, those of an evaluation have none.
    """
    entries: list[dict] = []
    for path in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        again = _lines(path)
        first = next((entry['iter'] for entry in again if 'iter' in entry), None)
        if first is not None:
            done = next((index for index, entry in enumerate(entries) if entry.get('iter', 0) >= first), len(entries))
            entries = entries[:done]
        entries += again
    return entries


def _lines(path: Path) -> list[dict]:
    found = []
    for line in path.read_text().splitlines():
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:  # a line cut by a kill
            continue
    return found


def _add(series: dict[str, Series], entry: dict, step: int) -> None:
    for key, value in entry.items():
        if key not in ('step', 'iter', 'epoch') and isinstance(value, (int, float)):
            series.setdefault(key, []).append((step, value))
