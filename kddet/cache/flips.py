"""A batch with its pictures flipped inside their padding, as the data pipeline would have flipped them."""
from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

SIDES = {None: (), 'horizontal': (2,), 'vertical': (1,), 'diagonal': (1, 2)}


def flipped(inputs: Tensor, samples: list, now: Sequence[str | None], then: Sequence[str | None]) -> Tensor:
    """The batch as it would be with other flips. The padding, at the right and at the bottom, stays where it is.

    Args:
        inputs: ``(N, 3, H, W)``, normalised and padded.
        samples: N data samples, with the size of each picture (``img_shape``).
        now, then: directions of the flip of each picture, None for none.
    """
    batch = inputs.clone()
    for image, sample, before, after in zip(batch, samples, now, then):
        sides = sorted(set(SIDES[before]) ^ set(SIDES[after]))
        height, width = sample.img_shape[:2]
        if sides:
            image[:, :height, :width] = image[:, :height, :width].flip(sides)
    return batch


def others(flips: Sequence[str | None], now: Sequence[str | None]) -> list[list[str | None]]:
    """The flips that are not there: one list of N a further forward, so that every picture comes by all."""
    return [[flips[(flips.index(own) + step) % len(flips)] for own in now] for step in range(1, len(flips))]
