"""Cross-entropy against the teacher's probabilities, with a weight on the background inside the sum over classes."""
from __future__ import annotations

from typing import Any

import torch
from mmdet.models.losses.utils import weight_reduce_loss
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from .chunks import chunks
from .hint import at_least_float32


def weighted_soft_cross_entropy(student_logits: Tensor, teacher_logits: Tensor, *, background_weight: float = 1.5,
                                temperature: float = 1.0, weight: Tensor | None = None,
                                avg_factor: float | Tensor | None = None) -> Tensor:
    r"""Compare class distributions of the student with the teacher's; a miss of the background costs more.

    Chen et al., *Learning Efficient Object Detection Models with Knowledge Distillation*, NIPS 2017, Sec. 3.2, Eq. 3.
    The weight belongs to the class inside the sum, not to the sample. The paper finds no use for a temperature and
    gives no factor :math:`T^2`; there is none here. The value is a cross-entropy: equal inputs give the teacher's
    weighted entropy, not 0.

    .. math:: L = -\sum_c w_c\, q_c \log p_c, \quad p = \mathrm{softmax}(z^s / T),\ q = \mathrm{softmax}(z^t / T),
              \quad w_\text{background} = 1.5,\ w_c = 1 \text{ elsewhere}

    Args:
        student_logits: ``(N, C + 1)``; the background is the last column, as in MMDet (the paper puts it first).
        teacher_logits: the same shape; detached.
        background_weight: the paper's 1.5.
        weight: ``(N,)``, of the samples; 0 leaves one out.
        avg_factor: what the sum over samples is divided by; None takes their number.

    Returns:
        A float32 scalar (float64 for float64 input).

    Example:
        >>> import torch
        >>> weighted_soft_cross_entropy(torch.tensor([[1., 0., 2.]]), torch.tensor([[2., 0., 1.]]))
        tensor(1.3028)
    """
    _check(student_logits, teacher_logits, temperature)
    if student_logits.dim() != 2:
        raise ValueError(f'the logits are {tuple(student_logits.shape)}, softmax heads give (N, C + 1)')
    teacher = (at_least_float32(teacher_logits.detach()) / temperature).softmax(1)
    teacher = torch.cat([teacher[:, :-1], background_weight * teacher[:, -1:]], 1)
    loss = -(teacher * (at_least_float32(student_logits) / temperature).log_softmax(1)).sum(1)
    return _reduce(loss, weight, avg_factor)


def weighted_soft_binary_cross_entropy(student_logits: Tensor, teacher_logits: Tensor, *,
                                       background_weight: float = 1.5, temperature: float = 1.0,
                                       weight: Tensor | None = None,
                                       avg_factor: float | Tensor | None = None) -> Tensor:
    r"""The same for heads of independent sigmoids, where the background is the absence of a class.

    The paper's two-class softmax of the RPN, written for one logit; for :math:`C` classes the sum over them. Not in
    the paper: heads of more than one class.

    .. math:: L = -\bigl(q \log p + w\,(1 - q) \log(1 - p)\bigr), \quad p = \sigma(z^s / T),\ q = \sigma(z^t / T)

    Args:
        student_logits: any shape.
        teacher_logits: the same shape; detached.
        background_weight: :math:`w`.
        weight: of the same shape or one that broadcasts to it, as ``(N, 1)`` for ``(N, C)``; 0 leaves out.
        avg_factor: what the sum over elements is divided by; None takes their number.

    Returns:
        A float32 scalar (float64 for float64 input), which can be differentiated once.

    Example:
        >>> import torch
        >>> weighted_soft_binary_cross_entropy(torch.tensor([0.5]), torch.tensor([-1.]))
        tensor(1.1957)
    """
    _check(student_logits, teacher_logits, temperature)
    if not student_logits.numel():
        return at_least_float32(student_logits).sum()
    total = _BinarySum.apply(student_logits, teacher_logits.detach(), weight, background_weight, temperature)
    return total / student_logits.numel() if avg_factor is None else weight_reduce_loss(total, None, 'mean', avg_factor)


class _BinarySum(torch.autograd.Function):
    """The weighted sum over elements, in chunks; nothing is kept for the backward pass but the gradient itself."""

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor, weight: Tensor | None, background: float,
                temperature: float) -> Tensor:
        flat = (lambda tensor: tensor.reshape(-1)) if weight is None else (lambda tensor: tensor)
        # float16 loses what is small before the loss is scaled
        kind = torch.float32 if student.dtype == torch.float16 else student.dtype
        gradient = torch.empty(student.shape, dtype=kind, device=student.device) if ctx.needs_input_grad[0] else None
        total = at_least_float32(student.new_zeros(()))
        for own, other, kept, slope in chunks(
                flat(student), flat(teacher), None if weight is None else weight.expand_as(student),
                None if gradient is None else flat(gradient)):
            logits = at_least_float32(own) / temperature
            present = (at_least_float32(other) / temperature).sigmoid()
            absent = background * (1 - present)
            both = present.add_(absent)
            loss = (absent * logits).sub_(both * F.logsigmoid(logits))  # log(1 - p) = log p - z
            total += (loss if kept is None else loss.mul_(kept)).sum()
            if slope is not None:
                derivative = absent.sub_(both.mul_(logits.neg_().sigmoid_())).div_(temperature)
                slope.copy_(derivative if kept is None else derivative.mul_(kept))
        ctx.save_for_backward(gradient)
        ctx.kind = student.dtype
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, total: Tensor):
        gradient, = ctx.saved_tensors
        return (gradient * total).to(ctx.kind), None, None, None, None


def _check(student: Tensor, teacher: Tensor, temperature: float) -> None:
    if student.shape != teacher.shape:
        raise ValueError(f"the student's logits are {tuple(student.shape)}, the teacher's {tuple(teacher.shape)}; "
                         'they must agree')
    if not temperature > 0:
        raise ValueError(f'temperature is {temperature}, it must be greater than 0')


def _reduce(loss: Tensor, weight: Tensor | None, avg_factor: float | Tensor | None) -> Tensor:
    if not loss.numel():
        return loss.sum()
    return weight_reduce_loss(loss, weight, 'mean', avg_factor)
