"""Which level of the student's pyramid is compared with which of the teacher's."""
from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import nn

from kddet.adapters import in_words
from kddet.recording.recorder import PROBE_SIZE, Pyramid
from kddet.recording.strides import strides_of

Strides = Sequence[float | None]


def pair_levels(student: Pyramid, teacher: Pyramid, levels: Sequence[int] | None, where: str) -> list[tuple[int, int]]:
    """Index pairs of equal stride, read off the spatial sizes of a probe forward of one image through both models.

    Args:
        student, teacher: pyramids of the same image, finest level first.
        levels: indices into the student's pyramid to keep; None keeps every level that has a partner.
        where: what is paired, for the message.

    Returns:
        ``[(student index, teacher index), ...]``. Pyramids that share no size pair by index if equally long.
    """
    wanted = range(len(student)) if levels is None else levels
    outside = [level for level in wanted if not 0 <= level < len(student)]
    if outside or not len(wanted):
        raise ValueError(f'{where}: levels {list(wanted)} were asked for, the student has levels 0 to '
                         f'{len(student) - 1}')
    if len(set(wanted)) < len(wanted):
        raise ValueError(f'{where}: levels {list(wanted)} has a level twice; give each once')
    sizes = {tuple(level.shape[2:]): index for index, level in enumerate(teacher)}
    partner = {index: sizes.get(tuple(level.shape[2:])) for index, level in enumerate(student)}
    shared = len(sizes) == len(teacher) and any(other is not None for other in partner.values())
    if not shared and len(student) == len(teacher):
        partner = {index: index for index in range(len(student))}
    pairs = [(index, other) for index in wanted if (other := partner[index]) is not None]
    if not pairs or (levels is not None and len(pairs) < len(wanted)):
        raise ValueError(f"{where}: no partner for every one of the student's levels {list(wanted)}; the student has "
                         f'{_sizes(student)} and the teacher {_sizes(teacher)} (H x W of the probe); choose `levels` '
                         'that both have')
    return pairs


def describe_levels(taps: tuple[str, str], student: Pyramid, teacher: Pyramid, pairs: Sequence[tuple[int, int]],
                    adapters: Iterable[nn.Module],
                    strides: tuple[Strides, Strides] | None = None) -> tuple[list[str], list[str]]:
    """What is compared and what is left out, in words; levels that are alike in one line.

    Args:
        taps: the student's and the teacher's.
        student, teacher: pyramids of the probe image.
        pairs: of :func:`pair_levels`.
        adapters: what joins each pair.
        strides: of the student's and of the teacher's levels (``Records.strides``); None takes them from the sizes.

    Example:
        >>> import torch
        >>> maps = [torch.zeros(1, 8, 256 // stride, 256 // stride) for stride in (8, 16)]
        >>> describe_levels(('neck', 'neck'), maps, maps[1:], [(1, 0)], [nn.Identity()])
        (['neck, stride 16: 8 to 8 channels, as it is'], ['neck of the student, stride 8'])
    """
    named = [[_stride(stride) for stride in own] for own in
             strides or [strides_of(levels, (PROBE_SIZE, PROBE_SIZE)) for levels in (student, teacher)]]
    lines: dict[str, list[str]] = {}
    for (own, other), adapter in zip(pairs, adapters):
        what = f'{student[own].shape[1]} to {teacher[other].shape[1]} channels, {in_words(adapter)}'
        lines.setdefault(what, []).append(' with '.join(dict.fromkeys([named[0][own], named[1][other]])))
    sides = zip(('student', 'teacher'), taps, named, map(set, zip(*pairs)))
    left = [(f'{tap} of the {owner}', [stride for index, stride in enumerate(levels) if index not in taken])
            for owner, tap, levels, taken in sides]
    name = ' with '.join(dict.fromkeys(taps))
    return ([f'{name}{_listed(found)}: {what}' for what, found in lines.items()],
            [f'{owner}{_listed(found)}' for owner, found in left if found])


def unequal_strides(strides: tuple[Strides, Strides], pairs: Sequence[tuple[int, int]]) -> list[str]:
    """Pairs whose strides differ, in words, ``'4 with 32'``.

    Args:
        strides: of the student's and of the teacher's levels; None of vectors.
        pairs: of :func:`pair_levels`.

    Example:
        >>> unequal_strides(([4, 8], [32, 8]), [(0, 0), (1, 1)])
        ['4 with 32']
    """
    met = [(strides[0][own], strides[1][other]) for own, other in pairs]
    return [f'{_stride(own)} with {_stride(other)}' for own, other in met
            if own is not None and other is not None and own != other]


def _stride(stride: float | None) -> str:
    return '' if stride is None else f'{stride:g}'


def _listed(strides: Sequence[str]) -> str:
    """Vectors have no stride."""
    return f', stride{"s" if len(strides) > 1 else ""} {", ".join(strides)}' if any(strides) else ''


def _sizes(pyramid: Pyramid) -> str:
    return ', '.join('x'.join(map(str, level.shape[2:])) or 'vector' for level in pyramid)
