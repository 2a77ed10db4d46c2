"""Which errors are the user's, or the run's, and how they are said in a sentence; all others are bugs."""
from __future__ import annotations

import pickle
import re
from pathlib import Path
from traceback import walk_tb
from types import FrameType
from typing import Any

from mmdet.datasets import CocoDataset
from mmengine.dataset import BaseDataset
from mmengine.runner import BaseLoop
from mmengine.visualization.vis_backend import BaseVisBackend

from kddet.checkpoint import first_line, refusal_reason
from kddet.errors import RunFailed
from kddet.options import wrong_option
from kddet.project.data import annotation_problem
from kddet.registry import unregistered

USER_ERRORS = ValueError, OSError, ImportError
HOST = 'mmengine', 'mmcv', 'mmdet', 'torch', 'torchvision', 'numpy', 'pycocotools', 'json'
UNREADABLE, REPLACE = 'failed to load image', 'replace the picture, or take it out of the annotations'
UNREGISTERED = re.compile(r'(\S+) is not in the \S+::(.+?) registry')


def explain(error: Exception) -> tuple[str, int] | None:
    """The message and the exit code: 2 for wrong input, 1 for a run that failed; None for a bug.

    What the host's registry raises is put in other words, from the class and the settings that it was about to build.
    """
    if isinstance(error, RunFailed):
        return str(error), 1
    if isinstance(error, pickle.UnpicklingError):
        return f'the checkpoint is refused: {refusal_reason(error)}', 2
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    if message := (_of_registry(error) or _of_override(error, frames) or _of_building(error, frames)
                   or _of_visualizer(error, frames) or _of_port(error)):
        return message, 2
    if loop := next((frame.f_locals['self'] for frame in frames
                     if isinstance(frame.f_locals.get('self'), BaseLoop) and frame.f_code.co_name == 'run'), None):
        if message := _of_save_best(error, frames, loop) or _of_run(error, loop):
            return message, 1
        if _package(frames[-1]) != 'kddet':
            return None
    if picture := _of_picture(error):
        return picture, 2
    return (_of_user(error), 2) if isinstance(error, USER_ERRORS) else None


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get('__name__')).partition('.')[0]


def _of_user(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f'{str(error.filename)!r}: {error.strerror}; give another path, or see to this one'
    return str(error) or type(error).__name__


def _of_registry(error: Exception) -> str | None:
    """A type that no registry knows."""
    found = UNREGISTERED.match(str(error.args[0])) if isinstance(error, KeyError) and error.args else None
    return unregistered(*found.groups()) if found else None


def _of_building(error: Exception, frames: list[FrameType]) -> str | None:
    """What the registry was to build, where the error is one of its settings: raised at the call, or by the host."""
    builds = [index for index, frame in enumerate(frames) if frame.f_code.co_name == 'build_from_cfg'
              and _package(frame) == 'mmengine']
    if not builds:
        return None
    local, inside = frames[builds[-1]].f_locals, frames[builds[-1] + 1:]
    if 'obj_cls' not in local:
        return f"{_short(local.get('cfg'))} is no part that can be built: it must be a dict(type='...', ...)"
    kind, options = local['obj_cls'], local['args']
    name = _name(kind)
    of_host = all(_package(frame) in HOST for frame in inside)
    if (of_host or isinstance(error, TypeError)) and (problem := wrong_option(kind, options, name)):
        return problem
    if isinstance(kind, type) and issubclass(kind, BaseDataset) and (
            problem := annotation_problem(options, of_host or issubclass(kind, CocoDataset))):
        return problem
    if not of_host:
        return None
    settings = ', '.join(filter(None, ['its settings', _settings(options)]))
    said = f'{type(error).__name__}: {first_line(error)}'
    return f'{name} cannot be built from {settings} ({said}); correct them in the config'


def _name(kind: Any) -> str:
    name = getattr(kind, '__name__', str(kind))
    return f'kddet.{name}' if getattr(kind, '__module__', '').startswith('kddet.') else name


def _settings(options: dict) -> str:
    return ', '.join(f'{key}={_short(value)}' for key, value in options.items()
                     if value is None or isinstance(value, (bool, int, float, str, list, tuple)))[:300]


def _short(value: Any, most: int = 80) -> str:
    return _cut(repr(value), most)


def _cut(text: str, most: int = 250) -> str:
    return text if len(text) <= most else f'{text[:most]}...'


def _of_override(error: Exception, frames: list[FrameType]) -> str | None:
    """A setting of the command line that leads nowhere in the config."""
    if not frames or frames[-1].f_code.co_name != '_merge_a_into_b':
        return None
    return f'a setting cannot be overridden: {_cut(str(error.args[0]))}; look at the config for what is there'


def _of_visualizer(error: Exception, frames: list[FrameType]) -> str | None:
    """A package that a backend of the log needs."""
    for frame in frames if isinstance(error, ImportError) else ():
        if isinstance(backend := frame.f_locals.get('self'), BaseVisBackend):
            name = _name(type(backend))
            return (f'{name}, which vis_backends of the visualizer asks for, needs a package that is not there '
                    f'({_cut(first_line(error))}); install it, or take {name} out of vis_backends')
    return None


def _of_port(error: Exception) -> str | None:
    if 'EADDRINUSE' not in str(error):
        return None
    return ('the port by which the processes find each other is taken, by another training on this machine perhaps; '
            'choose another: PORT=29511 tools/dist_train.sh ..., or MASTER_PORT=29511 with a launcher of your own')


def _of_picture(error: Exception) -> str | None:
    """A file that the host loads and that is no picture."""
    text = _without_worker(error)
    return f'{text}; {REPLACE}' if text.startswith(UNREADABLE) else None


def _of_run(error: Exception, loop: BaseLoop) -> str | None:
    """What a run can stumble over that was right when it began: files, disks, pictures."""
    text = _without_worker(error)
    picture = text.startswith(UNREADABLE)
    if not isinstance(error, OSError) and not picture:
        return None
    remedy = REPLACE if picture else 'see to it'
    runner = loop.runner
    return (f'the run stopped after iteration {runner.iter}: {text}. What was written is kept: {remedy}, and go on '
            f'with --work-dir {Path(runner.work_dir)} --resume')


def _of_save_best(error: Exception, frames: list[FrameType], loop: BaseLoop) -> str | None:
    """A metric that the checkpoint hook asks for and the validation did not give."""
    if not isinstance(error, KeyError) or frames[-1].f_code.co_name != '_save_best_checkpoint':
        return None
    given = _cut(', '.join(map(str, frames[-1].f_locals['metrics'])))
    return (f'save_best of the checkpoint hook is {error.args[0]!r}, and the validation gave {given}; correct it, and '
            f'go on with --work-dir {Path(loop.runner.work_dir)} --resume where a checkpoint was written')


def _without_worker(error: Exception) -> str:
    """A worker's error is raised again by torch with the whole traceback for a message; the message is its end."""
    if str(error).startswith('Caught '):
        return str(error).strip().splitlines()[-1].partition(': ')[2]
    if isinstance(error, OSError) and error.strerror:
        return error.strerror + (f', {str(error.filename)!r}' if error.filename is not None else '')
    return first_line(error)
