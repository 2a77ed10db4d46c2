"""Hint loss: an intermediate feature of the student against the teacher's."""
from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from kddet.registry import MODELS

NORMS = dict(l1=F.l1_loss, l2=F.mse_loss)


def hint_loss(student: Tensor, teacher: Tensor, *, norm: str = 'l2') -> Tensor:
    r"""Compare an adapted student feature with the teacher's.

    Chen et al., *Learning Efficient Object Detection Models with Knowledge Distillation*, NIPS 2017, Sec. 3.4,
    Eq. 6 and 7. The paper does not say whether it sums or averages; this is the mean over elements.

    .. math:: L = \frac{1}{n} \sum_i (V_i - Z_i)^2 \quad\text{or}\quad \frac{1}{n} \sum_i |V_i - Z_i|

    Args:
        student: :math:`V`, any shape.
        teacher: :math:`Z`, the same shape; detached.
        norm: ``'l2'`` or ``'l1'``.

    Returns:
        A float32 scalar (float64 for float64 input).

    Example:
        >>> import torch
        >>> hint_loss(torch.tensor([[1., 2.]]), torch.tensor([[0., 4.]]))
        tensor(2.5000)
    """
    if norm not in NORMS:
        raise ValueError(f'norm is {norm!r}, allowed are {sorted(NORMS)}')
    if student.shape != teacher.shape:
        raise ValueError(f'the student feature is {tuple(student.shape)}, the teacher feature '
                         f'{tuple(teacher.shape)}; they must agree')
    if not student.numel():
        return student.sum().float()
    return NORMS[norm](at_least_float32(student), at_least_float32(teacher.detach()))


def at_least_float32(tensor: Tensor) -> Tensor:
    """Half precisions to float32; float64 stays."""
    return tensor if tensor.dtype.itemsize >= 4 else tensor.float()


@MODELS.register_module()
class HintLoss(nn.Module):
    """:func:`hint_loss` as a module for configs."""

    def __init__(self, norm: str = 'l2') -> None:
        super().__init__()
        if norm not in NORMS:
            raise ValueError(f'norm is {norm!r}, allowed are {sorted(NORMS)}')
        self.norm = norm

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return hint_loss(student, teacher, norm=self.norm)
