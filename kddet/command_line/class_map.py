"""Which class is which, as the command line says it."""
from __future__ import annotations

import re
from collections.abc import Sequence

CLASS = re.compile(r'[^-=][^=]*')  # a name, spaces and all


def class_map(given: Sequence[str] | None) -> str | dict[str, str] | None:
    """``'auto'``, or ``{student's name: teacher's name}`` of ``student=teacher ...``.

    Raises:
        ValueError: it is neither, or a class of the student is there twice.

    Example:
        >>> class_map(['lorry=truck', 'traffic light=light'])
        {'lorry': 'truck', 'traffic light': 'light'}
    """
    if not given or given == ['auto']:
        return given[0] if given else None
    if wrong := [text for text in given if len(pair := text.split('=')) != 2 or not all(pair)]:
        raise ValueError(f'--class-map {wrong[0]!r} is neither auto, alone, nor a pair of names, STUDENT=TEACHER, such '
                         'as lorry=truck car=car; names with spaces in quotes, "traffic light=light"')
    table = {own: other for own, _, other in (text.partition('=') for text in given)}
    if len(table) < len(given):
        raise ValueError(f'--class-map {" ".join(given)}: every class of the student once')
    return table
