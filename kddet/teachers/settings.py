"""Who teaches in a distillation config: one teacher, or several by their names, and which methods read each."""
from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from kddet.options import near

ONE = ''  # the name of the teacher that is given as teacher=dict(...)
KEY = 'teacher'  # of a method, beside its type
NAME = re.compile(r'[A-Za-z_][\w-]*')


def named_teachers(model: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a Distiller's teachers, in the order of their names, in which MMEngine writes configs.

    Args:
        model: config of the Distiller. Its ``teacher`` has the name ``''``, those of ``teachers`` their own.
    """
    one, several = model.get('teacher'), model.get('teachers')
    return dict(sorted(several.items())) if several else {ONE: one} if one else {}


def weights_file(teacher: Mapping[str, Any]) -> str | None:
    """Where the weights of a teacher are, by its settings: its checkpoint, or the file of an external model."""
    model = teacher.get('model')
    return teacher.get('checkpoint') or (model if isinstance(model, str) else None)


def methods_of(model: Mapping[str, Any], teacher: str) -> dict[str, Any]:
    """The configs of the methods that read a teacher: those that name it; all of them where there is one alone."""
    return {name: method for name, method in (model.get('methods') or {}).items() if teacher_of(method) == teacher}


def teacher_of(method: Mapping[str, Any]) -> str:
    """The name of the teacher that a method's config says it reads."""
    return method.get(KEY) or ONE


def method_options(method: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a method as it is built: without the name of its teacher."""
    return {key: value for key, value in method.items() if key != KEY}


def called(teacher: str) -> str:
    """A teacher in a sentence."""
    return f'teacher {teacher!r}' if teacher else 'teacher'


def how_to_set(teacher: str = ONE, **options: str) -> str:
    """How to give a teacher options, from either way of starting.

    Args:
        teacher: its name.
        options: as they are written in a config.

    Example:
        >>> how_to_set(dtype="'bfloat16'")
        "--teacher-options dtype=bfloat16, in a config teacher=dict(dtype='bfloat16')"
        >>> how_to_set('large', input_size='(64, 96)')
        '--teacher-options large.input_size="(64,96)", in a config large=dict(input_size=(64, 96))'
    """
    flags = ' '.join(f'{teacher and f"{teacher}."}{key}={_of_shell(text)}' for key, text in options.items())
    written = ', '.join(f'{key}={text}' for key, text in options.items())
    return f'--teacher-options {flags}, in a config {teacher or "teacher"}=dict({written})'


def _of_shell(text: str) -> str:
    text = text.replace("'", '').replace(', ', ',')
    return f'"{text}"' if set('([') & set(text) else text


def check_teachers(teacher: Any, teachers: Any) -> dict[str, Any]:
    """:func:`named_teachers`, of settings that are dicts with names.

    Raises:
        ValueError: both are given, or one is of another shape.
    """
    if teacher and teachers:
        raise ValueError("both teacher and teachers are given: one teacher is teacher=dict(config='...', "
                         "checkpoint='...'), several are teachers=dict(name=dict(config='...', checkpoint='...'), ...);"
                         ' leave one of the two out')
    if teachers and not isinstance(teachers, Mapping):
        raise ValueError(f"teachers is {teachers!r}, it must be teachers=dict(name=dict(config='...', "
                         "checkpoint='...'), ...)")
    for name in teachers or ():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ValueError(f'a teacher is called {name!r}; names begin with a letter and have letters, digits, _ and '
                             '- in them')
    for name, settings in (given := named_teachers(dict(teacher=teacher, teachers=teachers))).items():
        if not isinstance(settings, Mapping):
            raise ValueError(f"{called(name)} is {settings!r}, it must be {name or 'teacher'}=dict(config='...', "
                             "checkpoint='...')")
    return given


def check_reader(name: str, method: Mapping[str, Any], kind: str, reads: bool, teachers: Iterable[str]) -> None:
    """Whether a method says which teacher it reads, where it is to, and nothing where it is not.

    Args:
        name: of the method in the config.
        kind: the name of its class.
        reads: whether it reads a teacher at all.
        teachers: names of :func:`named_teachers`.

    Raises:
        ValueError: it does not; names what is there.
    """
    wanted, names = method.get(KEY), list(teachers)
    if ONE in names or not names:
        if wanted is not None:
            what = 'there is one teacher, which all methods read' if names else 'no teacher is given'
            raise ValueError(f'method {name!r} has teacher={wanted!r}, and {what}; leave it out, or give the teachers '
                             f"names: teachers=dict({wanted}=dict(config='...', checkpoint='...'), ...)")
    elif wanted is None and reads:
        raise ValueError(f'method {name!r} ({kind}) reads a teacher and does not say which of {", ".join(names)}: give '
                         f'it teacher={names[0]!r} in its config, or --method-options {name}.teacher={names[0]}')
    elif wanted is not None and wanted not in names:
        raise ValueError(f'method {name!r} reads the teacher {wanted!r}, which is not there'
                         f'{near(str(wanted), names)}; there are {", ".join(names)}')
    elif wanted is not None and not reads:
        raise ValueError(f'method {name!r} ({kind}) reads no teacher; take its teacher={wanted!r} out')


def check_all_read(teachers: Iterable[str], methods: Mapping[str, Any]) -> None:
    """Refuse a teacher with a name that no method reads.

    Raises:
        ValueError: names it.
    """
    for name in teachers:
        if name and not methods_of(dict(methods=methods), name):
            raise ValueError(f'no method reads the teacher {name!r}; give a method teacher={name!r}, or take it out')
