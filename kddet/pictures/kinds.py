"""What became of boxes and objects, and how each kind is drawn: by colour, and by dashes for who does not see it."""
from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    """``colour`` as ``#rrggbb``; ``dashes`` in pixels, drawn and left out, none if solid; ``sign`` of a label."""
    text: str
    colour: str
    dashes: tuple[int, ...] = ()
    sign: str = ''


KINDS = dict(
    object=Kind('object to find', '#38bdf8'),
    right=Kind('right: its class, at an IoU of 0.5 or more', '#22c55e', sign='✓ '),
    wrong=Kind('wrong', '#f43f5e', (6, 3), '✗ '),
    missed=Kind('object that was missed', '#facc15', (2, 3)),
    found=Kind('found, not judged', '#c084fc'))
