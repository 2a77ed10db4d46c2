"""What a training left in its work dir: its config, its checkpoint, its log."""
from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from mmengine.config import Config

from kddet.checkpoint import file_hash
from kddet.preflight.report import FILE, Report, read_report
from kddet.project.config import is_distillation, load_config, student_config
from kddet.project.run_log import WORK_DIR, Log, missing_folder, read_log, work_dirs_inside
from kddet.teachers.settings import named_teachers, weights_file


class RunFolder:
    """A work dir of tools/train.py, or of any MMEngine Runner.

    Args:
        path: of the folder; where it was trained in several goes, the last config counts.
        name: to call the run by; the name of the folder by default.

    Raises:
        FileNotFoundError: no such folder, or none that a Runner trained in.
    """

    def __init__(self, path: str | Path, name: str = '') -> None:
        self.path = Path(path)
        self.name = name or self.path.absolute().name
        if not self.path.is_dir():
            raise FileNotFoundError(f'work dir {str(path)!r} {missing_folder(self.path)}')
        # a test leaves a folder as well, with the plain student's config and no scalars, and overwrites *.py
        self.starts = [file.parents[1] for file in sorted(self.path.glob('*/vis_data/scalars.json'))]
        configs = [file for start in self.starts if (file := start / 'vis_data/config.py').is_file()] or sorted(
            self.path.glob('*.py'))
        if not configs:
            raise FileNotFoundError(f'{str(path)!r} is no work dir of a training: it has neither a config (*.py) nor '
                                    f'*/vis_data/config.py; {WORK_DIR}{work_dirs_inside(self.path)}')
        self.config_file = configs[-1]
        if not self.starts and self.checkpoint is None:
            raise FileNotFoundError(f'in {str(path)!r} nothing was trained: it has neither a log '
                                    f'(*/vis_data/scalars.json) nor a checkpoint (*.pth); {WORK_DIR}'
                                    f'{work_dirs_inside(self.path)}')
        self.cfg: Config = load_config(str(self.config_file))

    @property
    def distilled(self) -> bool:
        return is_distillation(self.cfg)

    @cached_property
    def student(self) -> Config:
        """The config of the plain detector that was trained."""
        return student_config(self.cfg)

    @property
    def teachers(self) -> dict[str, Any]:
        """Settings of each teacher by its name, as in the config; the name of one alone is ``''``."""
        return named_teachers(self.cfg.model) if self.distilled else {}

    @cached_property
    def teacher_files(self) -> dict[tuple[str, str], str]:
        """Name of each teacher that was trained, by its model (``''`` of an external one) and the hash of its weights,
        which tell one from another wherever their files lie; by the files where these cannot be read."""
        return {(_model_of(str(teacher.get('config') or '')), _weights_of(weights)): name
                for name, teacher in self.teachers.items() if (weights := weights_file(teacher))}

    @property
    def preflight(self) -> Report | None:
        """The report before the first step, of the last start that wrote one whole."""
        for file in sorted(self.path.glob(f'*/{FILE}'), reverse=True):
            with contextlib.suppress(ValueError, KeyError, TypeError):
                return read_report(file)
        return None

    @property
    def checkpoint(self) -> Path | None:
        """The last one that was saved, wherever the folder lies now."""
        pointer = self.path / 'last_checkpoint'
        named = [self.path / Path(pointer.read_text().strip()).name] if pointer.is_file() else []
        saved = sorted(self.path.glob('*.pth'), key=lambda file: file.stat().st_mtime)
        return next((file for file in [*named, *reversed(saved)] if file.is_file()), None)

    @cached_property
    def log(self) -> Log:
        """The scalars; empty where there is no json log."""
        try:
            return read_log(self.path, self.name)
        except FileNotFoundError:
            return Log(self.name)

    def validated(self) -> dict[str, float | None]:
        """The box AP of the last validation in the log, in points, by COCO's names without prefix."""
        found: dict[str, float | None] = {}
        for key, series in self.log.val.items():
            if 'mAP' in key and 'segm' not in key:
                value = 100 * series[-1][1]
                found[key.rpartition('/')[2].removeprefix('bbox_')] = value if value >= 0 else None
        return found

    @cached_property
    def text(self) -> str:
        """Of the logs of training, one after the other."""
        files = [file for start in self.starts for file in sorted(start.glob('*.log'))]
        return '\n'.join(file.read_text(errors='replace') for file in files)

    def logged(self, pattern: str) -> str:
        """The first group of the last line of the log that the pattern fits, or an empty text."""
        found = re.findall(pattern, self.text, re.M)
        return found[-1].strip() if found else ''


def open_runs(paths: Sequence[str | Path]) -> list[RunFolder]:
    """A run a folder; those whose folders have one name are called by as much of their paths as tells them apart."""
    runs = [RunFolder(path) for path in paths]
    parts = [run.path.absolute().parts for run in runs]
    if len(set(parts)) < len(parts):
        raise ValueError(f'a work dir is given twice: {", ".join(map(str, paths))}; give each once')
    for depth in range(2, 1 + max(map(len, parts), default=0)):
        if len({run.name for run in runs}) == len(runs):
            break
        for run, own in zip(runs, parts):
            run.name = '/'.join(own[-depth:])
    return runs


def hash_of(checkpoint: str) -> str:
    """Of a file, or nothing where it cannot be read here."""
    with contextlib.suppress(OSError):
        return _hashed(checkpoint, os.stat(checkpoint).st_mtime_ns)
    return ''


@lru_cache(maxsize=64)
def _hashed(checkpoint: str, changed: int) -> str:
    return file_hash(checkpoint)


def _weights_of(checkpoint: str) -> str:
    return hash_of(checkpoint) or checkpoint


def _model_of(config: str) -> str:
    try:
        model = student_config(load_config(config)).model if config else ''
    except (FileNotFoundError, ImportError, ValueError):
        return config
    return json.dumps(model, sort_keys=True, default=str) if model else ''
