"""What the name of a tap means: a submodule, and what of it."""
from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from .strides import Size, level_strides, strides_of

INPUT = ':input'
HEADS = {  # which element of a head's output; None for all
    'cls': ('bbox_head', 0), 'reg': ('bbox_head', 1), 'rpn': ('rpn_head', None), 'rpn.cls': ('rpn_head', 0),
    'rpn.reg': ('rpn_head', 1), 'roi': ('roi_head.bbox_head', None), 'roi.cls': ('roi_head.bbox_head', 0),
    'roi.reg': ('roi_head.bbox_head', 1)}
LEVEL = re.compile(r'(?:(backbone)\.C|(neck)\.P)(\d{1,2})')
STAGE = re.compile(r'roi\.(\d)(?:\.(cls|reg))?')


@dataclass(frozen=True)
class Tap:
    """A tap's name, taken apart.

    Attributes:
        module: dotted name of the submodule.
        of_input: what it takes in, not what it gives.
        item: which element of what it gives.
        level: n of the level of stride 2^n, among those that it gives.
    """
    module: str
    of_input: bool = False
    item: int | None = None
    level: int | None = None

    def select(self, output: Any, size: Size | None, name: str, owner: str, kind: str) -> Any:
        """What is tapped of a module's output.

        Args:
            size: (height, width) of the image that went through the backbone.
            name, owner, kind: the tap's name, and what it is tapped of, for messages: ``'student'``, ``'RetinaNet'``.

        Raises:
            ValueError: the module gives no such element, or no level of that stride.
        """
        missing = f'tap {name!r} is not in the {owner} ({kind}): {self.module}'
        if self.item is not None:
            if has_item(output, self.item):
                return output[self.item]
            there = [word for word in head_words(self.module, output) if parse_tap(word).item is not None]
            raise ValueError(f'{missing} of {kind} gives {_counted(output)}; `{name}` is not in it; tap '
                             f'{" or ".join([*there, self.module])}, or a submodule of it; tools/inspect_model.py '
                             'lists them')
        if self.level is None:
            return output
        levels = [output] if isinstance(output, Tensor) else output
        strides = level_strides(levels, size or (0, 0))
        if self.level not in strides:
            words = [word for word in level_names(self.module, levels, size or (0, 0)) if word]
            raise ValueError(f'{missing} has no level of stride {2**self.level}: for an image of {size} it gives '
                             f'{_sizes(levels)} (H x W); tap {" or ".join([*words, self.module])}')
        return levels[strides.index(self.level)]


def has_item(output: Any, item: int | None) -> bool:
    """Whether a word for an element of a head's output means something: the head gave it."""
    if item is None:
        return True
    return isinstance(output, (tuple, list)) and len(output) > item and output[item] is not None


def parse_tap(name: str) -> Tap:
    """A dotted name, ``name:input``, or one of the words of detection.

    ``backbone.C3`` and ``neck.P3`` are the levels of stride 8; ``cls`` and ``reg`` the maps of a dense head,
    ``rpn.cls`` and ``rpn.reg`` those of the RPN, ``roi.cls`` and ``roi.reg`` the vectors of a RoI head; ``rpn`` and
    ``roi`` are the heads themselves; ``roi.0``, ``roi.0.cls`` and ``roi.0.reg`` those of a cascade's first stage.

    Example:
        >>> parse_tap('neck.P3')
        Tap(module='neck', of_input=False, item=None, level=3)
    """
    if name.endswith(INPUT):
        return Tap(name.removesuffix(INPUT), of_input=True)
    if name in HEADS:
        module, item = HEADS[name]
        return Tap(module, item=item)
    if found := STAGE.fullmatch(name):
        return Tap(f'roi_head.bbox_head.{found[1]}', item=dict(cls=0, reg=1).get(found[2]))
    if found := LEVEL.fullmatch(name):
        return Tap(found[1] or found[2], level=int(found[3]))
    return Tap(name)


def module_of(tap: str) -> str:
    """The submodule's name in a tap."""
    return parse_tap(tap).module


def level_names(module: str, levels: Sequence[Tensor], size: Size, known: Sequence[float] = ()) -> list[str | None]:
    """``'neck.P3'`` and the like for what a backbone or a neck gives of an image; None where no stride fits.

    Args:
        known: strides of the detector's anchors; a level that has one of these has no other.
    """
    letter = dict(backbone='C', neck='P').get(module)
    return [None if n is None or letter is None or 2**n != stride else f'{module}.{letter}{n}'
            for n, stride in zip(level_strides(levels, size), strides_of(levels, size, known))]


def head_words(module: str, output: Any) -> list[str]:
    """``'cls'`` and the like for a head, and for those elements that it gave."""
    stage = re.fullmatch(r'roi_head\.bbox_head\.(\d)', module)
    words = [f'roi.{stage[1]}{part}' for part in ('', '.cls', '.reg')] if stage else HEADS
    return [word for word in words if (tap := parse_tap(word)).module == module and has_item(output, tap.item)]


def _counted(output: Any) -> str:
    if not isinstance(output, (tuple, list)):
        return f'a {type(output).__name__}'
    count = sum(has_item(output, item) for item in range(len(output)))
    return 'one pyramid' if count == 1 else f'{count} pyramids'


def _sizes(levels: Any) -> str:
    return ', '.join(f'{level.shape[2]} x {level.shape[3]}' for level in levels)
