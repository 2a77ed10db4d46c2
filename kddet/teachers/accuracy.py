"""How accurate the teacher of a distillation config is where the student is validated; measured once and kept."""
from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.dist import broadcast_object_list, master_only
from mmengine.logging import print_log
from mmengine.registry import DefaultScope
from torch import Tensor

from kddet.checkpoint import file_hash, local_copy
from kddet.files import write_whole
from kddet.project.classes import config_classes, measured_classes
from kddet.project.config import build_detector, data_sources, load_config, student_config
from kddet.project.evaluation import Evaluation, evaluate, evaluate_step, measures_some_classes
from kddet.student_wrapper import random_state_kept

from .base import BaseTeacher
from .frozen import build_teacher, without_cache
from .settings import ONE, called, named_teachers, weights_file

CACHE = 'work_dirs/.cache'
NOT_OF_DETECTIONS = 'class_map', 'cache', 'classes', 'checkpoint'  # or a part of the key by themselves
OWN_DATA = "the teacher's own validation data"


def teacher_accuracy(cfg: Config, *, images: int | None = None, model: Any = None,
                     cache: str | Path | None = CACHE, name: str = ONE) -> Evaluation:
    """Measure a teacher as the student's distillation sees it: on the student's input, in the student's classes.

    The pictures come through the student's ``val_dataloader`` and data preprocessor, are normalised and scaled for the
    teacher as in training, and its labels become the student's by ``class_map``, or by name where the lists differ.
    COCO's metrics then measure the classes that both have; other metrics count those without a partner as not found.
    Without a common class it is measured on the validation data of its own config, if that is there.

    What was measured lies in ``<cache>/teacher-<checkpoint hash>-<data hash>.json``, whole or not at all. The second
    hash is of annotations, pipelines, preprocessing, classes, metrics and number of images.

    Args:
        cfg: a distillation config with a teacher.
        images: how many, evenly chosen; None takes all.
        model: the Distiller, where it is built already.
        cache: folder of what was measured before; None measures anew and keeps nothing.
        name: of the teacher, where there are several.

    Raises:
        ValueError: no teacher, no checkpoint of it, no validation data, or no common class and no data of its own.
        NoDetections: an external teacher whose maps the student's head cannot decode.
    """
    settings = named_teachers(cfg.model).get(name)
    if not settings or not weights_file(settings):
        raise ValueError('there is no teacher' if not settings else 'the teacher has no checkpoint, it is not trained')
    try:
        pairs, data = measured_classes(cfg, name), None
    except ValueError as error:
        pairs, data = None, _own_data(settings, error)
    where = None if cache is None else Path(cache) / _file_name(cfg, settings, data, pairs, images)
    known = [_read(where)]
    broadcast_object_list(known)
    if known[0] is not None:
        return known[0]
    print_log(f'the {called(name)} is measured on {images or "all"} validation images', 'current')
    teacher, student = _built(cfg, settings) if model is None else (model.teachers[name], model.student)
    teacher.check_detections(student)
    if data is not None:
        found = replace(evaluate(teacher.detector, data, images=images), where=OWN_DATA)
    else:
        found = _on_the_students_data(cfg, teacher, student, pairs, images)
    if where is not None:
        _write(where, found, settings)
    return found


def teacher_step(cfg: Config, name: str = ONE) -> Callable[[Any], list]:
    """What a validation step is for a teacher of a distillation config: batches of the student's dataloader become
    data samples with the teacher's detections, labels being the student's.

    Args:
        name: of the teacher, where there are several.

    Raises:
        ValueError: student and teacher have no class in common.
        NoDetections: an external teacher whose maps the student's head cannot decode.
    """
    pairs = measured_classes(cfg, name)
    teacher, student = _built(cfg, named_teachers(cfg.model)[name])
    teacher.check_detections(student)
    return _step(teacher, student, None if pairs is None else {other: own for own, other in pairs})


def _on_the_students_data(cfg: Config, teacher: BaseTeacher, student: Any,
                          pairs: Sequence[tuple[int, int]] | None, images: int | None) -> Evaluation:
    if pairs is None:
        return evaluate_step(_step(teacher, student, None), cfg, images=images)
    names = config_classes(cfg)
    if names is None or not measures_some_classes(cfg):
        return evaluate_step(_step(teacher, student, {other: own for own, other in pairs}), cfg, images=images)
    # a metric that is told of some classes counts their labels from 0, in the order of the data set
    labels = {other: index for index, (_, other) in enumerate(pairs)}
    return evaluate_step(_step(teacher, student, labels), cfg, images=images,
                         classes=[names[own] for own, _ in pairs])


def _step(teacher: BaseTeacher, student: Any, labels: dict[int, int] | None) -> Callable[[Any], list]:
    """What a validation step is for the teacher; ``labels`` translates its own, and leaves the others out."""
    def step(batch: Any) -> list:
        data = student.data_preprocessor(batch, False)
        samples = teacher.predict(data['inputs'], data['data_samples'], student)
        if labels is not None:
            for sample in samples:
                sample.pred_instances = _translated(sample.pred_instances, labels)
        return samples
    return step


def _translated(found: Any, labels: dict[int, int]) -> Any:
    table = torch.full((max([*labels, *found.labels.tolist()]) + 1,), -1, device=found.labels.device)
    for other, own in labels.items():
        table[other] = own
    own_labels: Tensor = table[found.labels]
    found.labels = own_labels
    return found[own_labels >= 0]


def _built(cfg: Config, settings: dict) -> tuple[BaseTeacher, Any]:
    """A teacher, and the student with random weights."""
    with random_state_kept():
        student = build_detector(cfg)
        with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmdet')):
            teacher = build_teacher(dict(without_cache(settings), class_map=None))
    teacher.match_input(student.data_preprocessor)
    return teacher.to(get_device()), student.to(get_device())


def _own_data(settings: dict, error: ValueError) -> Config:
    """The teacher's config, where its validation data is there."""
    data = student_config(load_config(settings['config'])) if settings.get('config') else None
    files = _annotation_files(data) if data else []
    if not data or not files or not all(file.is_file() for file in files):
        raise ValueError(f'{error}; and the validation data of its own config is not there') from error
    return data


def _annotation_files(cfg: Config) -> list[Path]:
    """Of data sets and metrics of the validation."""
    metrics: Any = cfg.get('val_evaluator') or []
    dataset = ConfigDict((cfg.get('val_dataloader') or {}).get('dataset', {}))
    named = [os.path.join(source.get('data_root') or '', source.ann_file) for source in data_sources(dataset)
             if source.get('ann_file')]
    named += [metric['ann_file'] for metric in ([metrics] if isinstance(metrics, dict) else metrics)
              if metric.get('ann_file')]
    return [Path(name) for name in dict.fromkeys(named)]


def _file_name(cfg: Config, settings: Any, data: Config | None, pairs: Any, images: int | None) -> str:
    source = data or cfg
    file = local_copy(str(weights_file(settings)))
    kind = {key: value for key, value in settings.items() if key not in NOT_OF_DETECTIONS and value != file}
    if settings.get('config'):
        kind = dict(student_config(load_config(settings.config)).model)
    weights = file_hash(file) if os.path.isfile(file) else _digest(file)
    about = dict(
        teacher=kind, input_scale=settings.get('input_scale'),
        classes=pairs, preprocessor=cfg.model.student.get('data_preprocessor'),
        own=data is not None, images=images,
        data={key: value for key, value in (source.get('val_dataloader') or {}).items() if 'workers' not in key},
        evaluator=source.get('val_evaluator'),
        annotations=[file_hash(name) for name in _annotation_files(source) if name.is_file()])
    return f'teacher-{weights}-{_digest(json.dumps(about, sort_keys=True, default=str))}.json'


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _read(file: Path | None) -> Evaluation | None:
    if file is None or not file.is_file():
        return None
    try:
        return Evaluation(**json.loads(file.read_text())['evaluation'])
    except (ValueError, KeyError, TypeError):  # of another version, or by another hand
        return None


@master_only
def _write(file: Path, found: Evaluation, settings: dict) -> None:
    try:
        write_whole(file, json.dumps(dict(checkpoint=weights_file(settings), evaluation=asdict(found)),
                                     indent=2).encode())
    except OSError as error:  # measured again the next time
        print_log(f'the accuracy of the teacher cannot be kept in {file}: {error}', 'current', level=logging.WARNING)
