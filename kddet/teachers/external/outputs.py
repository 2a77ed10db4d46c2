"""What a model from outside gives, by name: words for taps, each with a pyramid."""
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from kddet.recording.recorder import Pyramid
from kddet.recording.rois import ROI_HEAD
from kddet.recording.strides import DENSE_HEADS
from kddet.recording.taps import parse_tap

WORDS = 'neck', 'backbone', 'cls', 'reg', 'rpn.cls', 'rpn.reg'
NUMBERED = re.compile(r'(.+)[._]\d+')


def by_name(given: Any, names: Sequence[str] | None, count: int, who: str) -> dict[str, Pyramid]:
    """Pyramids ``{name: levels}`` of what a model gave.

    Args:
        given: a tensor; a tuple or list of tensors or of pyramids; or a mapping of these, whose names count where
            ``names`` is None. ``neck.0`` and ``neck.1`` are two levels of ``neck``.
        names: of what is given, in its order; a name that comes several times has a level each. None takes what has
            no names for the levels of the neck.
        count: of images.
        who: what the model is called in messages.

    Raises:
        ValueError: names and outputs do not agree, or an output is no tensor of one row an image.
    """
    items = given if isinstance(given, Mapping) else [given] if isinstance(given, Tensor) else given
    if not isinstance(items, (Mapping, tuple, list)) or not len(items):
        raise ValueError(f'{who} gives {_kind(given)}; a teacher gives tensors, a tuple of them, or a mapping of '
                         f'names, {", ".join(WORDS)} or others, to levels')
    own = list(items) if isinstance(items, Mapping) else ['neck'] * len(items)
    if names is not None and len(names) != len(own):
        listed = f' ({", ".join(map(str, own))})' if isinstance(items, Mapping) else ''
        raise ValueError(f'outputs names {len(names)} ({", ".join(names)}), and {who} gives {len(own)}{listed}; name '
                         'each, in its order, a level of a pyramid by the name of the pyramid')
    found: dict[str, Pyramid] = {}
    for name, value in zip(own if names is None else names, items.values() if isinstance(items, Mapping) else items):
        name = tap_name(str(name), who)
        found[name] = found.get(name, ()) + _levels(value, name, count, who)
    return found


def tap_name(name: str, who: str) -> str:
    """The word for the whole pyramid: that of ``neck.P3``, and of ``neck.0``, is ``neck``.

    Raises:
        ValueError: it cannot be tapped.
    """
    numbered = NUMBERED.fullmatch(name)
    name = numbered[1] if numbered else name
    tap = parse_tap(name)
    if tap.level is not None:
        return tap.module
    if tap.item is not None and tap.module in DENSE_HEADS:
        return name
    if tap.module.partition('.')[0] in (ROI_HEAD, *DENSE_HEADS) or '.' in name or not name or name.endswith(':input'):
        raise ValueError(f'{who} gives {name!r}, which has no meaning here: an output is one of {", ".join(WORDS)}, or '
                         'a word of your own without dots; say which with outputs=[...] (--teacher-options)')
    return name


def _levels(value: Any, name: str, count: int, who: str) -> Pyramid:
    levels = (value,) if isinstance(value, Tensor) else value
    if not isinstance(levels, (tuple, list)) or not levels or not all(isinstance(level, Tensor) for level in levels):
        raise ValueError(f'{name!r} of {who} is {_kind(value)}; an output is a tensor (N, C, H, W), or a list of them, '
                         'a level each')
    if wrong := [level for level in levels if level.dim() < 2 or len(level) != count]:
        raise ValueError(f'{name!r} of {who} has a tensor {tuple(wrong[0].shape)} for {count} images; an output is '
                         '(N, C, H, W), a row an image')
    return tuple(level.detach() for level in levels)


def _kind(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return f'a {type(value).__name__} of {", ".join(type(item).__name__ for item in value[:3]) or "nothing"}'
    return f'a {type(value).__name__}'
