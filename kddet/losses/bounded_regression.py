"""Box regression of the student, penalised only where the teacher does better."""
from __future__ import annotations

from mmdet.models.losses.utils import weight_reduce_loss
from torch import Tensor

from .hint import at_least_float32


def teacher_bounded_l2_loss(student_pred: Tensor, teacher_pred: Tensor, target: Tensor, *, margin: float = 0.0,
                            weight: Tensor | None = None, avg_factor: float | Tensor | None = None) -> Tensor:
    r"""Squared error of the student to the target, where it does not beat the teacher's by more than ``margin``.

    Chen et al., *Learning Efficient Object Detection Models with Knowledge Distillation*, NIPS 2017, Sec. 3.3, Eq. 4.
    A gate, not a hinge: the value is the student's whole error, and jumps to 0 at the threshold; equal errors at
    margin 0 give 0. The paper gives no value for the margin. With the teacher's prediction as target, this is the
    plain L2 to the teacher of the paper's Table 4.

    .. math:: L = e_s \text{ if } e_s + m > e_t, \text{ else } 0; \quad
              e_s = \lVert R_s - y \rVert_2^2,\ e_t = \lVert R_t - y \rVert_2^2

    Args:
        student_pred: :math:`R_s`, ``(P, 4)``, in the regression space of the head (unit-free deltas, or distances in
            strides).
        teacher_pred: :math:`R_t`, the same shape; detached.
        target: :math:`y`, the same shape; detached.
        margin: :math:`m`, in units of the squared error.
        weight: ``(P,)``, of the boxes.
        avg_factor: what the sum over boxes is divided by; None takes their number.

    Returns:
        A float32 scalar (float64 for float64 input).

    Example:
        >>> import torch
        >>> student, teacher = torch.tensor([[0.5, 0, 0, 0]]), torch.tensor([[0.2, 0, 0, 0]])
        >>> teacher_bounded_l2_loss(student, teacher, torch.zeros(1, 4))
        tensor(0.2500)
    """
    if not student_pred.shape == teacher_pred.shape == target.shape:
        raise ValueError(f"the student's boxes are {tuple(student_pred.shape)}, the teacher's "
                         f'{tuple(teacher_pred.shape)}, the targets {tuple(target.shape)}; they must agree')
    target = at_least_float32(target.detach())
    student_error = (at_least_float32(student_pred) - target).square().sum(-1)
    teacher_error = (at_least_float32(teacher_pred.detach()) - target).square().sum(-1)
    loss = student_error * (student_error.detach() + margin > teacher_error)
    if not loss.numel():
        return loss.sum()
    return weight_reduce_loss(loss, weight, 'mean', avg_factor)
