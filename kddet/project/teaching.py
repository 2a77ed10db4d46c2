"""Teachers as the command line gives them: files, by names where there are several, and options."""
from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from inspect import signature
from typing import Any

from mmengine.config import Config

from kddet.options import near
from kddet.teachers.external.files import is_model_file
from kddet.teachers.frozen import teacher_class
from kddet.teachers.settings import ONE, called

FILES = dict(config='--teacher', model='--teacher', checkpoint='--teacher-checkpoint')  # flags of their own
FLAGS = dict(teacher='--teacher-options', teachers='--teacher-options', methods='--method-options')


def teachers_of(config: Any, checkpoint: Any, class_map: Any = None,
                options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """``teacher`` or ``teachers`` of a Distiller.

    Args:
        config: a file, or files by the names of their teachers.
        checkpoint: the same of the weights.
        class_map: of all of them.
        options: of the teachers: ``{'input_scale': 2.0}``; of several ``{'name.input_scale': 2.0}``.

    Raises:
        ValueError: configs and checkpoints do not go together, or an option is not there.
    """
    if isinstance(config, Mapping) and are_model_files(config):
        checkpoint = checkpoint or {}
    if not isinstance(config, Mapping) and not isinstance(checkpoint, Mapping):
        one = {ONE: _files(config, checkpoint)} if config else {}
        return dict(teacher=_with_options(one, class_map, options).get(ONE))
    if not isinstance(config, Mapping) or not isinstance(checkpoint, Mapping):
        named, other = ('--teacher', '--teacher-checkpoint')[::1 if isinstance(config, Mapping) else -1]
        raise ValueError(f'{named} has names for its files and {other} has none: several teachers are given as '
                         '--teacher a=CONFIG b=CONFIG --teacher-checkpoint a=FILE b=FILE')
    for own, others, flag in ((checkpoint, config, '--teacher'), (config, checkpoint, '--teacher-checkpoint')):
        if missing := [name for name, file in own.items() if name not in others and not is_model_file(file)]:
            raise ValueError(f'teacher {missing[0]!r} has no {flag}{near(missing[0], others)}; there are '
                             f'{", ".join(others)}: give it one, {flag} {missing[0]}=FILE')
    files = {name: _files(file, checkpoint.get(name)) for name, file in config.items()}
    return dict(teachers=_with_options(files, class_map, options))


def are_model_files(teacher: Any) -> bool:
    """Whether every teacher is the file of a model, which has its weights in it."""
    return all(map(is_model_file, teacher.values() if isinstance(teacher, Mapping) else [teacher]))


def check_known(name: str, names: Iterable[str], what: str) -> None:
    """Refuse a name that is not there.

    Raises:
        ValueError: names what is.
    """
    names = list(names)
    if name not in names:
        found = difflib.get_close_matches(name, names, n=1)
        raise ValueError(f'unknown {what} {name!r}' + (f', did you mean {found[0]!r}?' if found else ';')
                         + f' there are {", ".join(names)}')


def check_overrides(student: Config, options: Mapping[str, Any] | None) -> None:
    """Refuse ``--cfg-options`` on what ``--method`` has yet to add to a plain config.

    Raises:
        ValueError: names the flag that says it.
    """
    for key, value in (options or {}).items():
        root, part, option = [*key.split('.', 2), '', ''][:3]
        if root == 'model' and part in FLAGS and part not in (student.get('model') or {}):
            raise ValueError(f'--cfg-options {key} is meant for what --method adds, and changes the plain config '
                             f'before that; give {_instead(part, option, value)}')


def _instead(part: str, option: str, value: Any) -> str:
    name, _, last = option.rpartition('.')
    if part == 'methods':
        return f'{FLAGS[part]} {option}={value}' if option else '--method NAME'
    file = FILES.get(last or 'config')
    return f'{file} {name and f"{name}="}{value}' if file else f'{FLAGS[part]} {option}={value}'


def _with_options(teachers: Mapping[str, dict], class_map: Any, options: Mapping[str, Any] | None) -> dict[str, Any]:
    merged = {name: Config(dict(teacher=own)) for name, own in teachers.items()}
    for key, value in (options or {}).items():
        name, option = _split(key, value, teachers)
        merged[name].merge_from_dict({f'teacher.{option}': value})
    return {name: dict(dict(class_map=class_map) if class_map else {}, **own.teacher) for name, own in merged.items()}


def _split(key: str, value: Any, teachers: Mapping[str, dict]) -> tuple[str, str]:
    """Name of the teacher and option."""
    if not teachers:
        raise ValueError(f'--teacher-options {key}={value} is given without a teacher; give --teacher CONFIG '
                         '--teacher-checkpoint FILE')
    name, _, option = (ONE, '', key) if ONE in teachers else key.partition('.')
    if name and not option:
        raise ValueError(f'--teacher-options {key}={value} does not say of which teacher: an option of one among '
                         f'several is NAME.OPTION=VALUE, such as {next(iter(teachers))}.input_scale=2.0')
    check_known(name, teachers, 'teacher')
    kind = teacher_class(teachers[name])
    known = [own for own in signature(kind).parameters if own not in FILES]
    check_known(option.partition('.')[0], [*known, 'cache'], f'option of the {called(name)}')
    return name, option


def _files(config: str, checkpoint: str | None) -> dict[str, Any]:
    if not is_model_file(config):
        return dict(config=_absolute(config), checkpoint=_absolute(checkpoint))
    if checkpoint:
        raise ValueError(f'--teacher {config} has its weights in it, and --teacher-checkpoint {checkpoint} is given as '
                         'well; leave it out')
    return dict(type='kddet.ExternalTeacher', model=_absolute(config))


def _absolute(path: str | None) -> str | None:
    local = path and '://' not in path and '::' not in path
    return os.path.abspath(os.path.expanduser(path)) if path and local else path
