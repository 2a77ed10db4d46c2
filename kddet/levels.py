"""Which level of the student's pyramid is compared with which of the teacher's."""
from __future__ import annotations

from collections.abc import Sequence

from kddet.recorder import Pyramid

PROBE_SIZE = 256  # pixels of the probe image's sides; every stride up to 128 gives a map of its own size


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


def _sizes(pyramid: Pyramid) -> str:
    return ', '.join('x'.join(map(str, level.shape[2:])) or 'vector' for level in pyramid)
