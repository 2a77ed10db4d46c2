"""The files that a config builds on."""
from __future__ import annotations

import ast
import os
from pathlib import Path


def check_bases(path: str, above: tuple[str, ...] = ()) -> None:
    """Refuse a config that builds on itself, which MMEngine reads until Python's stack is full.

    Args:
        path: of a Python file; others, and those that are not there, are left alone.
        above: the files that build on it.

    Raises:
        ValueError: names the files of the circle.
    """
    file = os.path.abspath(path)
    if file in above:
        circle = ' -> '.join([*above[above.index(file):], file])
        raise ValueError(f'config {path!r} builds on itself, {circle}; take one out of the _base_ of the one before')
    for base in _bases(file):
        check_bases(os.path.join(os.path.dirname(file), base), (*above, file))


def _bases(file: str) -> list[str]:
    """What is written as ``_base_``; MMEngine says what is wrong with a file that cannot be read."""
    if not file.endswith('.py') or not os.path.isfile(file):
        return []
    try:
        found = [ast.literal_eval(statement.value) for statement in ast.parse(Path(file).read_bytes()).body
                 if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == '_base_']
    except (SyntaxError, ValueError):
        return []
    listed = [base for value in found for base in ([value] if isinstance(value, str) else value)]
    return [base for base in listed if isinstance(base, str)]
