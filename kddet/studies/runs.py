"""One training run in a process of its own: resumable, never done twice, with its figures read from its log."""
from __future__ import annotations

import ctypes
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from mmengine.config import Config

from kddet.checkpoint import file_hash, load_checkpoint
from kddet.project.run_log import log_entries

REPOSITORY = Path(__file__).parents[2]
MEASURES = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')
PR_SET_PDEATHSIG = 1  # linux/prctl.h
PACKAGES = ('torch', 'mmengine', 'mmcv', 'mmdet', 'onedl-mmengine', 'onedl-mmcv', 'onedl-mmdetection', 'numpy')


@dataclass
class Run:
    """A config, trained to its end in ``work_dir``; what is there already is not trained again.

    A work dir whose config differs from this one is emptied first: its checkpoints belong to another run.
    """
    name: str
    work_dir: Path
    cfg: Config
    after: tuple[Run, ...] = ()  # what must be finished before
    about: dict = field(default_factory=dict)  # what this run is, for its row

    @property
    def checkpoint(self) -> Path:
        return self.work_dir / f'{self.unit}_{self.length}.pth'

    @property
    def unit(self) -> str:
        """What the training is counted in, as MMEngine's checkpoints are named by it: 'epoch' or 'iter'."""
        return 'iter' if 'max_iters' in self.cfg.train_cfg else 'epoch'

    @property
    def length(self) -> int:
        return self.cfg.train_cfg[f'max_{self.unit}s']

    @property
    def finished(self) -> bool:
        return (self._config_is_ours() and (self.work_dir / 'result.json').is_file() and self.checkpoint.is_file()
                and self.result['after'] == self._after())

    @property
    def result(self) -> dict:
        return json.loads((self.work_dir / 'result.json').read_text())

    def _after(self) -> list[str]:
        """Hashes of the checkpoints that this run builds on: when one of them is trained anew, so is this."""
        return [other.result['checkpoint_hash'] if other.finished else '' for other in self.after]

    @property
    def progress(self) -> float:
        """Share of the training that is done, 0 to 1."""
        if self.finished:
            return 1.0
        entries = log_entries(self.work_dir) if self._config_is_ours() else []
        done = [entry[self.unit] for entry in entries if self.unit in entry]
        return max(done, default=0) / (self.length + 1)

    def start(self, threads: int, gpu: str | None = None) -> subprocess.Popen:
        """Start or go on, in a child process with its output in ``work_dir/output.log``."""
        if not self._config_is_ours() or (self.work_dir / 'result.json').is_file():
            if self.work_dir.exists():
                print(f'{self.name}: what is in {self.work_dir} was trained otherwise, it is trained anew', flush=True)
            shutil.rmtree(self.work_dir, ignore_errors=True)
        self._mend()
        self.config_file.parent.mkdir(parents=True, exist_ok=True)
        self.config_file.write_text(self._config_text)
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads),
                           PYTHONUNBUFFERED='1', PYTHONPATH=os.pathsep.join(
                               filter(None, (str(REPOSITORY), os.environ.get('PYTHONPATH')))))
        if gpu is not None:
            environment['CUDA_VISIBLE_DEVICES'] = gpu
        with (self.work_dir / 'output.log').open('ab') as output:
            return subprocess.Popen(self.command(), env=environment, stdout=output, stderr=subprocess.STDOUT,
                                    preexec_fn=_end_with_parent)

    def command(self) -> list[str]:
        """What to run in the child process."""
        return [sys.executable, str(REPOSITORY / 'tools/train.py'), str(self.config_file),
                '--work-dir', str(self.work_dir), '--resume',
                '--preflight-images', '0']  # a study measures its teachers itself

    def finish(self, peak_memory: int) -> None:
        """Write ``result.json`` of a run that has ended well.

        Args:
            peak_memory: of the process in MiB; on a GPU, the GPU's own figure is taken instead.
        """
        result = dict(
            self.figures(peak_memory),
            checkpoint_hash=file_hash(self.checkpoint),
            after=self._after(),
            environment=environment(),
            date=date.today().isoformat())
        temporary = self.work_dir / '.result.json'
        temporary.write_text(json.dumps(result))
        temporary.replace(self.work_dir / 'result.json')

    def figures(self, peak_memory: int) -> dict:
        """What was measured, from the log."""
        entries = log_entries(self.work_dir)
        measured = self._evaluations()
        times = sorted((entry['iter'], entry['time']) for entry in entries if 'iter' in entry and 'time' in entry)
        starts = [0, *(step for step, _ in times)]
        return dict(
            measures=measured[self.length],
            curve=[[step, measures['mAP']] for step, measures in sorted(measured.items())],
            seconds=round(sum(time * (step - start) for start, (step, time) in zip(starts, times)), 1),
            peak_memory=int(max((entry.get('memory', 0) for entry in entries), default=0)) or peak_memory)

    def _evaluations(self) -> dict[int, dict]:
        """COCO's measures after each epoch or iteration that was evaluated; 0 where nothing at all was detected."""
        return {entry['step']: dict.fromkeys(MEASURES, 0.0) | {
            key.removeprefix('coco/bbox_'): value for key, value in entry.items() if key.startswith('coco/bbox_mAP')
            and not key.endswith('copypaste')} for entry in log_entries(self.work_dir) if 'iter' not in entry}

    def _mend(self) -> None:
        """After a kill: drop a checkpoint that is cut short, and a last one whose evaluation never ended.

        MMEngine saves before it evaluates and does not evaluate on resuming; and it names the newest checkpoint in
        a file of its own that may be behind.
        """
        evaluated = self.length in self._evaluations()
        newest = None
        for path in sorted(self.work_dir.glob(f'{self.unit}_*.pth'),
                           key=lambda path: int(path.stem.rpartition('_')[2]), reverse=True):
            if newest is None and (path != self.checkpoint or evaluated) and _is_whole(path):
                newest = path
            elif newest is None:
                path.unlink()
        pointer = self.work_dir / 'last_checkpoint'
        if newest:
            pointer.write_text(str(newest))
        else:
            pointer.unlink(missing_ok=True)

    def tail(self, lines: int = 3) -> str:
        """The end of the output, for an error message."""
        path = self.work_dir / 'output.log'
        return '\n'.join(path.read_text(errors='replace').splitlines()[-lines:]) if path.is_file() else ''

    @property
    def config_file(self) -> Path:
        """What is trained; in a folder of its own, because the Runner writes a config of that name to its work dir."""
        return self.work_dir / 'plan' / 'config.py'

    @cached_property
    def _config_text(self) -> str:  # kept, because formatting it takes a while and it is asked for all the time
        return self.cfg.pretty_text

    def _config_is_ours(self) -> bool:
        return self.config_file.is_file() and self.config_file.read_text() == self._config_text


class PseudoLabelling(Run):
    """Pseudo labels by the first run of ``after``, in place of a training.

    ``cfg`` has ``images``, ``ann`` and ``score_thr``, as ``tools/pseudo_label.py`` takes them.
    """

    unit, length = 'labelling', 1

    @property
    def checkpoint(self) -> Path:
        return self.work_dir / 'pseudo.json'

    @property
    def progress(self) -> float:
        return float(self.finished)

    def command(self) -> list[str]:
        teacher = self.after[0]
        return [sys.executable, str(REPOSITORY / 'tools/pseudo_label.py'), str(teacher.config_file),
                str(teacher.checkpoint), '--images', self.cfg.images, '--ann', self.cfg.ann,
                '--score-thr', str(self.cfg.score_thr), '--out', str(self.checkpoint), '--workers', '0']

    def figures(self, peak_memory: int) -> dict:
        return dict(boxes=len(json.loads(self.checkpoint.read_text())['annotations']))

    def _mend(self) -> None:
        """The tool goes on by itself."""


def execute(runs: list[Run], *, jobs: int, report) -> None:
    """Train what is not finished, ``jobs`` at a time, each after those it depends on.

    Args:
        runs: in order of preference.
        jobs: processes side by side; the cores are shared out evenly, and the GPUs taken in turn.
        report: called every second with the list of the running ones, and once at the end with none.

    Raises:
        RuntimeError: runs failed, and what does not depend on them is done; the message shows the end of their output.
    """
    cores = len(os.sched_getaffinity(0))
    gpus = _gpus()
    waiting = [run for run in runs if not run.finished]
    running: dict[int, tuple[Run, subprocess.Popen]] = {}
    failures: list[str] = []
    try:
        while running or any(_ready(run) for run in waiting):
            for slot in range(jobs):
                ready = next((run for run in waiting if _ready(run)), None)
                if slot not in running and ready is not None:
                    waiting.remove(ready)
                    running[slot] = ready, ready.start(max(1, cores // jobs), gpus[slot % len(gpus)] if gpus else None)
            report([run for run, _ in running.values()])
            time.sleep(1)
            for slot, (run, process) in list(running.items()):
                pid, status, usage = os.wait4(process.pid, os.WNOHANG)
                if not pid:
                    continue
                process.returncode = os.waitstatus_to_exitcode(status)
                del running[slot]
                if process.returncode:
                    failures.append(f'{run.name} failed with exit code {process.returncode}; '
                                    f'{run.work_dir}/output.log ends with:\n{run.tail()}')
                else:
                    run.finish(usage.ru_maxrss // 1024)
    finally:
        for _, process in running.values():
            process.terminate()
        for _, process in running.values():
            process.wait()
    report([])
    if failures:
        raise RuntimeError('\n\n'.join(failures))


def _ready(run: Run) -> bool:
    return all(other.finished for other in run.after)


def _gpus() -> list[str]:
    """Names for CUDA_VISIBLE_DEVICES of those that this process may use."""
    visible = os.environ.get('CUDA_VISIBLE_DEVICES')
    return (visible.split(',') if visible else [str(i) for i in range(torch.cuda.device_count())]
            )[:torch.cuda.device_count()]


def _is_whole(checkpoint: Path) -> bool:
    try:
        load_checkpoint(checkpoint, mmap=True)
    except ValueError:
        return False
    return True


def _end_with_parent() -> None:
    """In the child: be terminated when the parent dies, however it dies, so that no two train in one work dir."""
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def environment() -> dict:
    """Commit, hardware and versions, as they belong into every row of results."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return dict(commit=_commit(), hardware=hardware(), python=platform.python_version(), versions=versions)


def _commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(['git', '-C', str(REPOSITORY), *arguments], capture_output=True, text=True).stdout.strip()
    head = git('rev-parse', '--short=10', 'HEAD')
    return f'{head}+changes' if head and git('status', '--porcelain', '--', 'kddet', 'tools', 'configs') else head


def hardware() -> str:
    """The GPU, or the cores and their kind."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    model = next((line.split(':')[1].strip() for line in _lines('/proc/cpuinfo') if line.startswith('model name')),
                 platform.processor() or platform.machine())
    return f'{len(os.sched_getaffinity(0))} cores, {model}'


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).is_file() else []
