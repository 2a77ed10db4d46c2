"""Names of the classes that a detector was trained on, and whether two lists of them can be compared."""
from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.fileio import list_from_file
from mmengine.registry import DATASETS

from kddet.checkpoint import load_checkpoint
from kddet.options import some
from kddet.registry import MODELS
from kddet.teachers.settings import ONE, called, method_options, methods_of, named_teachers

from .config import is_distillation, load_config, student_config

Classes = tuple[str, ...]


def config_classes(cfg: Config) -> Classes | None:
    """The classes of a config's training data: its ``metainfo``, or those of the data set's type."""
    dataset = cfg.get('train_dataloader', {}).get('dataset')
    while dataset and 'type' in dataset:
        inner = dataset.get('dataset') or (dataset.get('datasets') or [None])[0]  # wrappers: repeat, concat, balance
        if classes := (dataset.get('metainfo') or {}).get('classes'):
            return _names(classes)
        if inner is None:
            return _names(getattr(_kind_of(dataset, cfg), 'METAINFO', {}).get('classes'))
        dataset = inner
    return None


def checkpoint_classes(checkpoint: dict) -> Classes | None:
    """The classes that MMEngine wrote into a checkpoint."""
    meta = checkpoint.get('meta') or {}
    dataset = meta.get('dataset_meta') or meta  # MMDet 2.x had them in meta itself
    return _names(dataset.get('classes') or dataset.get('CLASSES'))


def check_same_classes(student: Classes | None, teacher: Classes | None, who: str, name: str = ONE) -> None:
    """Refuse lists that differ in names or order.

    Args:
        who: compares them.
        name: of the teacher.

    Raises:
        ValueError: shows both lists.
    """
    if student is not None and teacher is not None and student != teacher:
        raise ValueError(f'{who} compares the scores of each class, and the classes differ: the student has '
                         f'{len(student)} ({some(student)}), the {called(name)} {len(teacher)} ({some(teacher)}); '
                         f"--class-map auto, in a config {name or 'teacher'}=dict(class_map='auto'), compares those "
                         'that both have by name, and methods that compare features do not care')


def check_config_classes(cfg: Config) -> None:
    """Before anything is built: refuse a distillation config whose class-wise methods have a teacher of other classes,
    or a model of their own that was trained on others.

    Raises:
        ValueError: shows both lists.
    """
    own = config_classes(cfg)
    for name, method in (cfg.model.get('methods') or {}).items() if is_distillation(cfg) else ():
        theirs = getattr(_built(method), 'own_classes', None)
        if own is not None and theirs is not None and own != theirs:
            raise ValueError(f'method {name} goes by the names of the classes, and they differ: the student has '
                             f'{len(own)} ({some(own)}), what the method was trained on {len(theirs)} '
                             f"({some(theirs)}); train its first step on the student's own classes, in their order")
    for name, teacher in named_teachers(cfg.model).items() if is_distillation(cfg) else ():
        compared = _comparing(methods_of(cfg.model, name))
        if compared and teacher.get('class_map') is None:
            check_same_classes(own, teacher_classes(teacher), f'method {", ".join(compared)}', name)


def resolve_class_map(cfg: Config) -> str | None:
    """Put indices in place of the names in the ``class_map`` of a distillation config's teachers.

    Returns:
        A line for the log, one a teacher; None where there is nothing to look up.

    Raises:
        ValueError: a name that is not there; or, where a method of the teacher compares classes, none in common, or no
            list of names to look it up in.
    """
    teachers = named_teachers(cfg.model) if is_distillation(cfg) else {}
    return '\n'.join(_resolve(config_classes(cfg), teacher, name, methods_of(cfg.model, name))
                     for name, teacher in teachers.items() if _names_classes(teacher)) or None


def measured_classes(cfg: Config, name: str = ONE) -> list[tuple[int, int]] | None:
    """Which of the student's classes a teacher of a distillation config can be measured on, with their indices.

    Args:
        name: of the teacher, where there are several.

    Returns:
        ``[(student's index, teacher's index), ...]``, those of ``class_map`` or of the same name; None where the two
        lists are the same, or one of them is not known.

    Raises:
        ValueError: no class in common by name; shows both lists.
    """
    teacher = copy.deepcopy(named_teachers(cfg.model)[name])
    own = config_classes(cfg)
    if _names_classes(teacher):
        _resolve(own, teacher, name, methods_of(cfg.model, name))
    if teacher.get('class_map') is not None:
        return sorted((int(mine), int(theirs)) for mine, theirs in teacher.class_map)
    other = teacher_classes(teacher)
    if own is None or other is None or own == other:
        return None
    if pairs := [(index, other.index(name)) for index, name in enumerate(own) if name in other]:
        return pairs
    who = called(name)
    raise ValueError(f'student and {who} have no class in common by name: the student has {len(own)} ({some(own)}), '
                     f'the {who} {len(other)} ({some(other)})')


def teacher_classes(teacher: ConfigDict) -> Classes | None:
    """The classes of a Distiller's ``teacher``: those it is given, its checkpoint's, or those of its config's data."""
    return _names(teacher.get('classes')) or _stored(teacher) or _configured(teacher)


def disputed_classes(teacher: ConfigDict) -> tuple[Classes, Classes] | None:
    """Those of a teacher's checkpoint, which count, and of its config's data, where both are known and differ."""
    stored, configured = _stored(teacher), _configured(teacher)
    return (stored, configured) if stored and configured and stored != configured else None


def meeting(student: Classes, teacher: Classes, pairs: Sequence[Sequence[int]]) -> list[str]:
    """The pairs of a ``class_map`` by name: ``'car'`` where both call it so, else ``'lorry=truck'``, student's first.

    Raises:
        IndexError: a class that is not there.
    """
    named = [(student[own], teacher[other]) for own, other in pairs]
    return [own if own == other else f'{own}={other}' for own, other in named]


def _names_classes(teacher: ConfigDict) -> bool:
    return isinstance(teacher.get('class_map'), (str, dict))


def _stored(teacher: ConfigDict) -> Classes | None:
    file, trust = teacher.get('checkpoint'), teacher.get('trust_checkpoint', False)
    return checkpoint_classes(load_checkpoint(file, trust=trust, mmap=True)) if file else None


def _configured(teacher: ConfigDict) -> Classes | None:
    config = teacher.get('config')
    return config_classes(student_config(load_config(config))) if config else None


def _resolve(own: Classes | None, teacher: ConfigDict, name: str, methods: Mapping[str, Any]) -> str:
    wanted: Any = teacher.class_map
    if isinstance(wanted, str) and wanted != 'auto':
        raise ValueError(f"class_map is {wanted!r}; it is 'auto', {{student's name: teacher's name}} or pairs of "
                         'indices')
    other, who = teacher_classes(teacher), called(name)
    if own is None or other is None:
        unknown = f'the {"student" if own is None else who} has no list of them in its config or checkpoint'
        return _without(teacher, methods, f'class_map={wanted!r} goes by names, and {unknown}', 'give pairs of '
                        'indices, or to an external teacher classes=[...] (--teacher-options)')
    names = {name: name for name in own if name in other} if wanted == 'auto' else dict(wanted)
    lists = f'the student has {len(own)} ({some(own)}), the {who} {len(other)} ({some(other)})'
    if missing := [name for name in names if name not in own] + [name for name in names.values() if name not in other]:
        raise ValueError(f'class_map names {", ".join(missing)}, which is not there: {lists}')
    if not names:
        return _without(teacher, methods, f'student and {who} have no class in common by name: {lists}', 'say which is '
                        'which, --class-map STUDENT=TEACHER ..., in a config class_map=dict(...), or compare features')
    teacher.class_map = [[own.index(mine), other.index(theirs)] for mine, theirs in names.items()]
    left = [name for name in own if name not in names]
    return f'classes: {len(names)} of {len(own)} are compared with the {who}' + (
        f'; without a partner: {some(left)}' if left else '')


def _without(teacher: ConfigDict, methods: Mapping[str, Any], problem: str, remedy: str) -> str:
    """Take the ``class_map`` away where no method needs one."""
    if compared := _comparing(methods):
        raise ValueError(f'{problem}; method {", ".join(compared)} compares classes: {remedy}')
    teacher.class_map = None
    return f'classes: {problem}; no method compares them'


def _comparing(methods: Mapping[str, Any]) -> list[str]:
    return [name for name, method in methods.items() if _compares_classes(method)]


def _compares_classes(method: dict) -> bool:
    return bool(getattr(_built(method), 'compares_classes', False))


def _built(method: dict) -> Any:
    return MODELS.build(copy.deepcopy(method_options(method)))


def _kind_of(dataset: ConfigDict, cfg: Config) -> Any:
    """The class of a data set, looked up in the registries of the config's own scope."""
    if isinstance(dataset['type'], type):
        return dataset['type']
    with DATASETS.switch_scope_and_registry(cfg.get('default_scope') or 'mmdet') as registry:
        return registry.get(dataset['type'])


def _names(classes: Sequence[str] | str | None) -> Classes | None:
    if isinstance(classes, str):  # the name of a file, as MMEngine reads it, or of a class
        return tuple(list_from_file(classes)) if os.path.isfile(classes) else (classes,)
    return tuple(classes) if classes else None
