"""Tables of figures."""
from __future__ import annotations

from collections.abc import Sequence


def markdown(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table; floats are rounded to two digits after the point."""
    lines = [head, ['---'] * len(head), *([f'{value:.2f}' if isinstance(value, float) else str(value) for value in row]
                                          for row in rows)]
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)
