"""The report of a Runner that is built and has not begun."""
from __future__ import annotations

from typing import Any

from mmengine.dist import broadcast_object_list
from mmengine.model import is_model_wrapper

from kddet.distiller import Distiller
from kddet.student_wrapper import random_state_kept
from kddet.teachers.accuracy import CACHE
from kddet.teachers.external.detector import ExternalDetector
from kddet.teachers.settings import ONE, named_teachers

from .accuracy import accuracy_line
from .cache import cache_lines
from .classes import classes_line
from .labels import label_lines
from .methods import heads_line, method_line
from .report import NOTE, OK, Line, Report, write_report
from .schedule import batch_line
from .teacher import input_lines, weights_line


def preflight(runner: Any, *, images: int = 50, min_teacher_map: float | None = None,
              cache: str | None = CACHE) -> Report:
    """Say what a run is about to do, in its log and in ``preflight.json`` beside it; change nothing about it.

    Args:
        runner: MMEngine's, built from a distillation config, before ``train()``.
        images: of the validation data, on which the teacher is measured; 0 leaves it out.
        min_teacher_map: below it the verdict is ``stop``, and, where it is given, without any as well; 0.01 by default.
        cache: folder of teachers' accuracies.

    Returns:
        The report, the same on all processes.
    """
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    if not hasattr(model, 'student'):  # a FlexibleRunner's strategy builds it when it trains
        return Report('', [Line('model', NOTE, 'not built before the training begins, nothing is reported')])
    with random_state_kept():
        lines = [*_teachers(runner.cfg, model, images, min_teacher_map, cache),
                 *(method_line(name, method, model.student, getattr(model, 'taught_by', {}).get(name, ONE))
                   for name, method in model.methods.items()),
                 *cache_lines(runner, model), *label_lines(runner.train_loop.dataloader.dataset),
                 batch_line(runner.cfg)]
    reports = [Report(_title(model), lines)]
    broadcast_object_list(reports)
    runner.logger.info('\n%s', reports[0])
    write_report(reports[0], runner.log_dir)
    return reports[0]


def _teachers(cfg: Any, model: Any, images: int, least: float | None, cache: str | None) -> list[Line]:
    if not isinstance(model, Distiller):
        return []
    if not model.teachers:
        return [Line('teacher', OK, 'none, no method reads one'), heads_line(model)]
    return [line.of(name) for name in model.teachers for line in _teacher(cfg, model, name, images, least, cache)]


def _teacher(cfg: Any, model: Distiller, name: str, images: int, least: float | None, cache: str | None) -> list[Line]:
    teacher, settings = model.teachers[name], named_teachers(cfg.model)[name]
    compared = any(method.compares_classes for own, method in model.methods.items()
                   if model.teacher_of(own) is teacher)
    return [weights_line(teacher), accuracy_line(cfg, model, images, least, cache, name),
            classes_line(cfg, settings, compared, name),
            *input_lines(cfg, settings, model.data_preprocessor, teacher, name), heads_line(model, name)]


def _title(model: Any) -> str:
    teachers = [f'{name}, {_named(teacher.detector)},' if name else _named(teacher.detector)
                for name, teacher in getattr(model, 'teachers', {}).items()]
    source = f' from {" and ".join(teachers)}' if teachers else ''
    return f'{_named(model.student)} learns{source} by {", ".join(model.methods)}'


def _named(detector: Any) -> str:
    if isinstance(detector, ExternalDetector):
        return detector.name
    millions = sum(parameter.numel() for parameter in detector.parameters()) / 1e6
    return f'{type(detector).__name__} ({millions:.3g} M parameters)'
