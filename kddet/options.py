"""Whether a class takes the options that a config gives it: their names, and the types that it is annotated with."""
from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from inspect import Parameter, signature
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

WORDS = {float: 'a number', int: 'a whole number', bool: 'True or False', str: 'a text', type(None): 'None'}


def wrong_option(kind: Callable, options: Mapping[str, Any], name: str) -> str | None:
    """A sentence about the first option that ``kind`` does not take; None where there is none.

    Args:
        options: as they would be given, ``kind(**options)``.
        name: of what is built, for the sentence.
    """
    parameters = signature(kind).parameters
    named = [key for key, own in parameters.items() if own.kind in (Parameter.POSITIONAL_OR_KEYWORD,
                                                                    Parameter.KEYWORD_ONLY)]
    more = any(own.kind is Parameter.VAR_KEYWORD for own in parameters.values())
    for key in options:
        if key not in named and not more:
            return f'{name} takes no {key!r}{near(key, named)}; it takes {", ".join(named)}'
    if missing := [key for key in named if parameters[key].default is Parameter.empty and key not in options]:
        return f'{name} needs {", ".join(missing)}, which the config does not give'
    hints = _hints(kind)
    for key, value in options.items():
        if key in hints and not _fits(value, hints[key]):
            return f'{key} of {name} is {value!r}, it must be {_words(hints[key])}'
    return None


def check_options(kind: Callable, options: Mapping[str, Any], name: str) -> None:
    """:func:`wrong_option`, raised.

    Raises:
        ValueError: the sentence.
    """
    if not isinstance(options, Mapping):
        raise ValueError(f'{name} is {options!r}, it must be a dict(...)')
    if problem := wrong_option(kind, options, name):
        raise ValueError(problem)


def near(name: str, names: Iterable[str]) -> str:
    """``" (did you mean 'neck'?)"``, or nothing."""
    found = difflib.get_close_matches(name, list(names), n=1, cutoff=0.7)
    return f' (did you mean {found[0]!r}?)' if found else ''


def some(names: Iterable[Any], most: int = 10) -> str:
    """The first names, and how many more there are.

    Example:
        >>> some(['a', 'b', 'c'], most=2)
        'a, b and 1 more'
    """
    listed = list(map(str, names))
    return ', '.join(listed[:most]) + (f' and {len(listed) - most} more' if len(listed) > most else '')


def _hints(kind: Callable) -> dict[str, Any]:
    kind = kind.func if isinstance(kind, partial) else kind
    try:
        return get_type_hints(getattr(kind, '__init__') if isinstance(kind, type) else kind)  # noqa: B009
    except Exception:  # annotations of the user's own that cannot be read: nothing is known of their types
        return {}


def _fits(value: Any, hint: Any) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, own) for own in arguments)
    if hint in (int, float):
        return isinstance(value, (int, hint)) and not isinstance(value, bool)
    if hint in WORDS:
        return isinstance(value, hint)
    kind = origin or hint
    if kind in (Sequence, list, tuple):
        return isinstance(value, (list, tuple)) and (kind is tuple or not arguments
                                                     or all(_fits(item, arguments[0]) for item in value))
    return isinstance(value, Mapping) if kind in (dict, Mapping) else True


def _words(hint: Any) -> str:
    arguments = get_args(hint)
    if get_origin(hint) in (Union, UnionType):
        return ' or '.join(map(_words, arguments))
    if (get_origin(hint) or hint) in (Sequence, list, tuple):
        return 'a list' + (f' (each item {_words(arguments[0])})' if arguments else '')
    return WORDS.get(hint, 'a dict(...)')
