"""What the options of a teacher save of its forward, and what they change in the features that the methods read."""
from __future__ import annotations

from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor

from kddet.project.config import with_preprocessor
from kddet.registry import MODELS
from kddet.teachers.frozen import FrozenTeacher
from kddet.teachers.settings import method_options, methods_of, named_teachers
from kddet.testing import toy_samples

from .markdown import markdown
from .measure import median_seconds
from .step import check_distiller
from .where import where

OPTIONS: dict[str, dict[str, Any]] = {
    'bfloat16': dict(dtype='bfloat16'), 'channels_last': dict(channels_last=True), 'compile': dict(compile=True),
    'compile, bfloat16': dict(compile=True, dtype='bfloat16'),
    'channels_last, bfloat16': dict(channels_last=True, dtype='bfloat16')}


def measure_options(cfg: Config, name: str, *, batch: int, height: int, width: int, iters: int, device: str,
                    checkpoint: str | None = None) -> list[dict]:
    """A row an option: seconds of the teacher's forward with it over those without, and the change of its features.

    All teachers stand in one process and run in turn. The change is the norm of the difference over the norm, of all
    that the methods read; of a teacher with random weights unless a checkpoint is given.

    Args:
        cfg: a distillation config; of several teachers the first is measured.
        name: of the config, for the rows.
        batch, height, width: of the images, which are noise.

    Raises:
        ValueError: the config has no methods, or no teacher that is a detector of MMDet.
    """
    check_distiller(cfg, name)
    named = {key: own for key, own in named_teachers(cfg.model).items() if own.get('config')}
    if not named:
        raise ValueError(f'{name} has no teacher that is a detector of MMDet, there are no options of it to measure')
    torch.manual_seed(0)
    own, given_teacher = next(iter(named.items()))
    settings = dict(config=given_teacher.config, checkpoint=checkpoint)
    exact = FrozenTeacher(**settings).to(device)
    student = MODELS.build(with_preprocessor(cfg.model.student, cfg.get('data_preprocessor')))
    methods = [MODELS.build(method_options(method)) for method in methods_of(cfg.model, own).values()]
    for method in methods:
        method.bind(student, exact.detector)
    taps = list(dict.fromkeys(tap for method in methods for tap in method.teacher_taps))
    samples = toy_samples(boxes=[()] * batch, sizes=[(height, width)] * batch)
    inputs = exact.detector.data_preprocessor(samples, True)['inputs'].to(device)
    teachers = {'exact': exact}
    for option, given in OPTIONS.items():
        teachers[option] = FrozenTeacher(**settings, **given).to(device)
        teachers[option].detector.load_state_dict(exact.detector.state_dict())
    seconds = median_seconds({option: _forward(teacher, inputs, taps) for option, teacher in teachers.items()},
                             iters, device)
    reference = list(_forward(exact, inputs, taps)().tensors())
    return [dict(kind='teacher', config=name, shape=[batch, height, width], trained=checkpoint is not None,
                 option=option, iters=iters, ratio=seconds[option] / seconds['exact'], **where(device),
                 change=_change(reference, list(_forward(teachers[option], inputs, taps)().tensors())))
            for option in OPTIONS]


def options_table(rows: list[dict]) -> str:
    """Markdown."""
    return markdown(['config', 'images', 'weights', 'option', 'b with it / b', 'change of the features'], [
        [row['config'], ' x '.join(map(str, row['shape'])), 'trained' if row['trained'] else 'random', row['option'],
         row['ratio'], f'{row["change"]:.1e}' if row['change'] else '0'] for row in rows])


def _forward(teacher: FrozenTeacher, inputs: Tensor, taps: list[str]):
    return lambda: teacher.record(inputs, None, taps)


def _change(reference: list[Tensor], found: list[Tensor]) -> float:
    squares = [((other.double() - own.double()).square().sum(), own.double().square().sum())
               for own, other in zip(reference, found, strict=True)]
    return float((sum(over for over, _ in squares) / sum(own for _, own in squares)) ** 0.5)
