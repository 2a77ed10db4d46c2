"""What the name of a tap means: a submodule, and what of it."""
from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

INPUT = ':input'
HEADS = {  # which element of a head's output; None for all
    'cls': ('bbox_head', 0), 'reg': ('bbox_head', 1), 'rpn': ('rpn_head', None), 'rpn.cls': ('rpn_head', 0),
    'rpn.reg': ('rpn_head', 1), 'roi': ('roi_head.bbox_head', None), 'roi.cls': ('roi_head.bbox_head', 0),
    'roi.reg': ('roi_head.bbox_head', 1)}
DENSE_HEADS = 'rpn_head', 'bbox_head'
LEVEL = re.compile(r'(?:(backbone)\.C|(neck)\.P)([1-8])')


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

    def select(self, output: Any, size: tuple[int, int] | None) -> Any:
        """What is tapped of a module's output.

        Args:
            size: (height, width) of the image that went through the backbone.

        Raises:
            ValueError: there is no level of that stride.
        """
        if self.item is not None:
            return output[self.item]
        if self.level is None:
            return output
        levels = [output] if isinstance(output, Tensor) else output
        strides = level_strides(levels, size or (0, 0))
        if self.level not in strides:
            raise ValueError(f'{self.module} has no level of stride {2**self.level}: for an image of {size} it gives '
                             f'{_sizes(levels)} (H x W)')
        return levels[strides.index(self.level)]


def parse_tap(name: str) -> Tap:
    """A dotted name, ``name:input``, or one of the words of detection.

    ``backbone.C3`` and ``neck.P3`` are the levels of stride 8; ``cls`` and ``reg`` the maps of a dense head,
    ``rpn.cls`` and ``rpn.reg`` those of the RPN, ``roi.cls`` and ``roi.reg`` the vectors of a RoI head; ``rpn`` and
    ``roi`` are the heads themselves.

    Example:
        >>> parse_tap('neck.P3')
        Tap(module='neck', of_input=False, item=None, level=3)
    """
    if name.endswith(INPUT):
        return Tap(name.removesuffix(INPUT), of_input=True)
    if name in HEADS:
        module, item = HEADS[name]
        return Tap(module, item=item)
    if found := LEVEL.fullmatch(name):
        return Tap(found[1] or found[2], level=int(found[3]))
    return Tap(name)


def module_of(tap: str) -> str:
    """The submodule's name in a tap."""
    return parse_tap(tap).module


def level_names(module: str, levels: Sequence[Tensor], size: tuple[int, int]) -> list[str | None]:
    """``'neck.P3'`` and the like for what a backbone or a neck gives of an image; None where no stride fits."""
    letter = dict(backbone='C', neck='P').get(module)
    return [None if n is None or letter is None else f'{module}.{letter}{n}' for n in level_strides(levels, size)]


def level_strides(levels: Sequence[Tensor], size: tuple[int, int]) -> list[int | None]:
    """n of the stride 2^n of each level; None where none fits. Of levels of one size each is taken for the next."""
    found: list[int | None] = []
    for level in levels:
        fitting = [n for n in range(1, 9) if tuple(level.shape[2:]) == _halved(size, n) and n not in found]
        found.append(fitting[0] if fitting else None)
    return found


def _halved(size: tuple[int, int], times: int) -> tuple[int, int]:
    """Sides after so many layers of stride 2, which round up."""
    height, width = size
    return -(-height // 2**times), -(-width // 2**times)


def _sizes(levels: Any) -> str:
    return ', '.join(f'{level.shape[2]} x {level.shape[3]}' for level in levels)
