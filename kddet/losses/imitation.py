"""Imitation loss: features near objects against the teacher's."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .hint import at_least_float32
from .squares import sum_of_squares


def imitation_loss(student: Sequence[Tensor], teacher: Sequence[Tensor], masks: Sequence[Tensor | None], *,
                   avg_factor: float | Tensor | None = None) -> Tensor:
    r"""Compare adapted features with the teacher's at the cells of a mask.

    Wang et al., *Distilling Object Detectors with Fine-grained Feature Imitation*, CVPR 2019 (arXiv:1906.03609),
    Eq. 3. Summed over channels, so that the weight must shrink as they grow; :math:`N_p` counts the cells of all
    levels and images together.

    .. math:: L = \frac{1}{2 N_p} \sum_{l,n,h,w} M_{lnhw} \sum_c (S_{lnchw} - T_{lnchw})^2,
              \quad N_p = \sum_{l,n,h,w} M_{lnhw}

    Args:
        student: ``(N, C, H, W)`` a level, adapted to the teacher's width.
        teacher: the same shapes; detached.
        masks: ``(N, H, W)`` a level, bool; None where every cell counts, as in a level of masked cells alone.
        avg_factor: takes the place of :math:`N_p`, where it is averaged over processes.

    Returns:
        A float32 scalar (float64 for float64 input), which can be differentiated once; without a cell in the mask, a
        zero with a gradient.

    Example:
        >>> import torch
        >>> student, mask = torch.tensor([[[[1., 5.]], [[2., 0.]]]]), torch.tensor([[[True, False]]])
        >>> imitation_loss([student], [torch.zeros_like(student)], [mask])
        tensor(2.5000)
    """
    if not len(student) == len(teacher) == len(masks):
        raise ValueError(f'{len(student)} levels of the student, {len(teacher)} of the teacher and {len(masks)} of '
                         'masks; they must agree')
    total: Tensor | float = 0.0
    for own, other, mask in zip(student, teacher, masks):
        if own.shape != other.shape or (mask is not None and mask.shape != (len(own), *own.shape[2:])):
            raise ValueError(f'the student feature is {tuple(own.shape)}, the teacher feature {tuple(other.shape)}, '
                             f'the mask {None if mask is None else tuple(mask.shape)}; they must be (N, C, H, W) twice '
                             'and (N, H, W)')
        own, other = at_least_float32(own), at_least_float32(other.detach())
        difference = own - other
        if mask is not None:
            difference *= mask[:, None]
        total = total + sum_of_squares(difference)
    if avg_factor is None:
        cells = [own[:, 0].numel() if mask is None else mask.sum() for own, mask in zip(student, masks)]
        avg_factor = torch.as_tensor(sum(cells)).clamp(min=1)
    return total / (2 * avg_factor)  # type: ignore[return-value]
