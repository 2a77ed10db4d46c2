"""Adaptive distillation loss: KL to the teacher's scores, weighted by how hard a sample is to learn and to mimic."""
from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .chunks import chunks
from .hint import at_least_float32

FORMS = dict(paper=(1.5, 1.0), code=(0.0, 2.0), softmax=(1.5, 1.0))  # beta and gamma
POWER = 1.8  # of the teacher's score in the normaliser, from the authors' configs
SMALLEST = 1e-12  # weight: below, the power of a gamma under 1 has no slope, where it would have an infinite one


class AdaptiveSums(NamedTuple):
    """Sums over all elements, each a float32 scalar (float64 for float64 input); the loss alone has a gradient."""
    loss: Tensor
    normalizer: Tensor  # the teacher's scores to the power of 1.8, of foreground classes
    weight: Tensor  # the adaptive weights


def adaptive_distillation_loss(student_logits: Tensor, teacher_logits: Tensor, *, beta: float | None = None,
                               gamma: float | None = None, form: str = 'paper', alpha: float = 0.5,
                               temperature: float = 1.0, weight: Tensor | None = None,
                               avg_factor: float | Tensor | None = None, detach_weight: bool = False) -> Tensor:
    r"""Compare the student's scores with the teacher's, the more so where the teacher is unsure or the two disagree.

    Tang et al., *Learning Efficient Detector with Semi-supervised Adaptive Distillation* (arXiv:1901.00366), Eq. 5-8.
    With :math:`p` and :math:`q` the sigmoid scores of student and teacher and :math:`T(q)` the teacher's entropy:

    .. math:: L = \bigl(1 - e^{-(\mathrm{KL} + \beta T(q))}\bigr)^\gamma\, \mathrm{KL}, \quad
              \mathrm{KL} = q \log\frac{q}{p} + (1 - q) \log\frac{1 - q}{1 - p}

    The authors' code differs, and is ``form='code'``. Its ``beta`` has the opposite role (1 minus the paper's; they
    release 0 with ``gamma=2``), it weighs an :math:`\alpha`-weighted cross-entropy, and its temperature only
    multiplies the result:

    .. math:: L = T^2 \bigl(1 - e^{-(\mathrm{CE} - \beta T(q))}\bigr)^\gamma
              \bigl(-\alpha\, q \log p - (1 - \alpha)(1 - q) \log(1 - p)\bigr)

    ``form='softmax'`` is the paper's form over the classes of a row, an extension for RoI heads. The paper names no
    temperature; in its forms the logits are divided by it and the loss is multiplied by its square, as Hinton's is.

    Args:
        student_logits: any shape; ``(N, C + 1)``, the background last, for ``'softmax'``.
        teacher_logits: the same shape; detached.
        beta: weight of the teacher's entropy. None takes 1.5, that of two later implementations, because the paper
            gives no value, and for ``'code'`` the authors' 0; there it cannot be more than 1.
        gamma: 0 is the plain KL. None takes 1, and for ``'code'`` the authors' 2.
        form: ``'paper'``, ``'code'`` or ``'softmax'``.
        alpha: of the code's cross-entropy; no part in the other forms.
        weight: of a shape that broadcasts to the logits, ``(N,)`` for ``'softmax'``; 0 leaves out.
        avg_factor: what the sum is divided by; None takes :func:`adaptive_normalizer` over what has a weight.
        detach_weight: no gradient through the adaptive weight; the authors' code has one.

    Returns:
        A float32 scalar (float64 for float64 input).

    Example:
        >>> import torch
        >>> logit = lambda p: torch.logit(torch.tensor([p]))
        >>> adaptive_distillation_loss(logit(0.6), logit(0.9), avg_factor=1)
        tensor(0.1155)
    """
    sums = adaptive_sums(student_logits, teacher_logits, beta=beta, gamma=gamma, form=form, alpha=alpha,
                         temperature=temperature, weight=weight, detach_weight=detach_weight)
    return sums.loss / (sums.normalizer.clamp(min=1) if avg_factor is None else avg_factor)


def shape_of(form: str, beta: float | None, gamma: float | None) -> tuple[float, float]:
    """``beta`` and ``gamma`` of a form, its own where they are None.

    Raises:
        ValueError: no such form, or a value that it cannot have.
    """
    if form not in FORMS:
        raise ValueError(f'form is {form!r}, allowed are {list(FORMS)}')
    own_beta, own_gamma = FORMS[form]
    beta, gamma = own_beta if beta is None else beta, own_gamma if gamma is None else gamma
    if gamma < 0 or (form == 'code' and beta > 1):
        raise ValueError(f"gamma is {gamma} and beta {beta}; gamma must be 0 or more, and the beta of form='code', "
                         "which is 1 minus the paper's, 1 or less")
    return beta, gamma


def adaptive_sums(student_logits: Tensor, teacher_logits: Tensor, *, beta: float | None = None,
                  gamma: float | None = None, form: str = 'paper', alpha: float = 0.5, temperature: float = 1.0,
                  weight: Tensor | None = None, detach_weight: bool = False) -> AdaptiveSums:
    """The loss before its division, and what a method needs beside it, in one pass over the logits.

    The sigmoid forms run in chunks and keep nothing for the backward pass but the gradient itself. They can be
    differentiated once.
    """
    if student_logits.shape != teacher_logits.shape:
        raise ValueError(f"the student's logits are {tuple(student_logits.shape)}, the teacher's "
                         f'{tuple(teacher_logits.shape)}; they must agree')
    beta, gamma = shape_of(form, beta, gamma)
    if not temperature > 0:
        raise ValueError(f'temperature is {temperature}, it must be more than 0')
    teacher_logits = teacher_logits.detach()
    if not student_logits.numel():
        zero = at_least_float32(student_logits).sum()
        return AdaptiveSums(zero, zero.detach(), zero.detach())
    if form != 'softmax':
        options = dict(beta=beta, gamma=gamma, form=form, alpha=alpha, temperature=temperature, detach=detach_weight,
                       signed=form == 'code' or beta < 0)
        return AdaptiveSums(*_SigmoidSums.apply(student_logits, teacher_logits, weight, options))
    hardness, loss = _softmax_terms(student_logits, teacher_logits, beta, temperature)
    factor = _power(_adaptive(hardness), gamma)
    loss = temperature**2 * (factor.detach() if detach_weight else factor) * loss
    kept = torch.ones_like(factor) if weight is None else weight
    return AdaptiveSums((loss * kept).sum(), adaptive_normalizer(teacher_logits, form=form, weight=weight),
                        (factor.detach() * (kept > 0)).sum())


@torch.no_grad()
def adaptive_weight(student_logits: Tensor, teacher_logits: Tensor, *, beta: float | None = None,
                    gamma: float | None = None, form: str = 'paper', temperature: float = 1.0) -> Tensor:
    """The weight by itself, 0 to 1, of the logits' shape (of the rows for ``'softmax'``); without a gradient."""
    beta, gamma = shape_of(form, beta, gamma)
    if form == 'softmax':
        return _power(_adaptive(_softmax_terms(student_logits, teacher_logits, beta, temperature)[0]), gamma)
    scale = 1.0 if form == 'code' else temperature
    terms = _SigmoidTerms(at_least_float32(student_logits) / scale, at_least_float32(teacher_logits) / scale)
    return _power(_adaptive(terms.hardness(form, beta)), gamma)


@torch.no_grad()
def adaptive_normalizer(teacher_logits: Tensor, *, form: str = 'paper', weight: Tensor | None = None) -> Tensor:
    r"""The authors' denominator, :math:`\sum q^{1.8}`, a soft count of positives; over foreground classes.

    Their code counts ignored anchors as well; here what has weight 0 is left out.
    """
    logits = at_least_float32(teacher_logits)
    scores = logits.softmax(1)[:, :-1] if form == 'softmax' else logits.sigmoid()
    scores = scores.pow(POWER)
    if weight is not None:
        scores = scores * ((weight[:, None] if form == 'softmax' else weight) > 0)
    return scores.sum()


class _SigmoidTerms:
    """What the sigmoid forms are made of, of student's and teacher's logits; accurate for any of them."""

    def __init__(self, student: Tensor, teacher: Tensor) -> None:
        self.student, self.teacher = student, teacher
        self.q, zero = teacher.sigmoid(), teacher.new_zeros(())
        self.absent = student.logaddexp(zero)  # -log(1 - p)
        self.teacher_absent = teacher.logaddexp(zero)

    @cached_property
    def divergence(self) -> Tensor:
        return (self.q * (self.teacher - self.student)).add_(self.absent).sub_(self.teacher_absent).clamp_(min=0)

    def entropy(self) -> Tensor:
        return self.teacher_absent - self.q * self.teacher

    def hardness(self, form: str, beta: float) -> Tensor:
        """What the exponential takes."""
        if form == 'code':
            return (self.absent - self.q * self.student).sub_(self.entropy(), alpha=beta)
        return self.divergence.add(self.entropy(), alpha=beta)

    def weighted(self, form: str, alpha: float) -> Tensor:
        """What is weighted."""
        if form == 'code':
            present = self.q * (self.absent - self.student)  # -q log p
            return present.mul_(alpha).add_((1 - self.q).mul_(self.absent), alpha=1 - alpha)
        return self.divergence

    def teacher_score(self, power: float) -> Tensor:
        """The teacher's scores to a power."""
        return (self.teacher - self.teacher_absent).mul_(power).exp_()

    def slopes(self, form: str, alpha: float) -> tuple[Tensor, Tensor]:
        """Derivatives of :meth:`hardness` and of :meth:`weighted` by the student's logits."""
        p = self.student.sigmoid()
        difference = p - self.q
        if form != 'code':
            return difference, difference
        return difference, ((1 - self.q) * p).mul_(1 - alpha).sub_(self.q * (1 - p), alpha=alpha)


class _SigmoidSums(torch.autograd.Function):
    """:func:`adaptive_sums` of the sigmoid forms, with the gradient worked out in the forward pass."""

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor, weight: Tensor | None, options: dict):
        form, gamma, temperature = options['form'], options['gamma'], options['temperature']
        scale = 1.0 if form == 'code' else temperature
        flat = (lambda tensor: tensor.reshape(-1)) if weight is None else (lambda tensor: tensor)
        sums = at_least_float32(student.new_zeros(0)).new_zeros(3)
        # float16 loses what is small before the loss is scaled
        kind = torch.float32 if student.dtype == torch.float16 else student.dtype
        gradient = torch.empty(student.shape, dtype=kind, device=student.device) if ctx.needs_input_grad[0] else None
        counted = None if weight is None else (weight > 0).to(sums.dtype).expand_as(student)
        parts = chunks(flat(student), flat(teacher), None if weight is None else weight.expand_as(student), counted,
                       None if gradient is None else flat(gradient))
        for own, other, kept, count, slope in parts:
            own, other = at_least_float32(own), at_least_float32(other)
            terms = _SigmoidTerms(own, other) if scale == 1 else _SigmoidTerms(own / scale, other / scale)
            hardness, term = terms.hardness(form, options['beta']), terms.weighted(form, options['alpha'])
            base = _adaptive(hardness)
            factor = _power(base, gamma)
            scores = terms.teacher_score(POWER) if scale == 1 else other.sigmoid().pow(POWER)
            values = (factor * term).mul_(temperature**2), scores, factor
            sums += torch.stack([value.sum() if kept is None else (value * by).sum()
                                 for value, by in zip(values, (kept, count, count))])
            if slope is not None:
                of_hardness, of_term = terms.slopes(form, options['alpha'])
                total = of_term * factor
                if gamma and not options['detach']:
                    total += of_hardness.mul_(term).mul_(_power_slope(base, hardness, gamma, options['signed']))
                total *= temperature**2 / scale
                slope.copy_(total if kept is None else total.mul_(kept))
        ctx.save_for_backward(gradient)
        ctx.kind = student.dtype
        loss, normalizer, weight_sum = sums.unbind()
        ctx.mark_non_differentiable(normalizer, weight_sum)
        return loss.clone(), normalizer, weight_sum

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, loss: Tensor, *others: Tensor):
        gradient, = ctx.saved_tensors
        return (gradient * loss).to(ctx.kind), None, None, None


def _softmax_terms(student: Tensor, teacher: Tensor, beta: float, temperature: float) -> tuple[Tensor, Tensor]:
    """What the exponential takes, and what is weighted, of rows ``(N, C + 1)``."""
    log_p = (at_least_float32(student) / temperature).log_softmax(1)
    log_q = (at_least_float32(teacher) / temperature).log_softmax(1)
    q = log_q.exp()
    divergence = (q * (log_q - log_p)).sum(1).clamp(min=0)
    return divergence - beta * (q * log_q).sum(1), divergence


def _adaptive(hardness: Tensor) -> Tensor:
    """The weight before its power."""
    return -(-hardness.clamp(min=0)).expm1()


def _power(weight: Tensor, gamma: float) -> Tensor:
    if gamma == 1:
        return weight
    return weight.clamp(min=SMALLEST).pow(gamma) if gamma < 1 else weight.pow(gamma)


def _power_slope(weight: Tensor, hardness: Tensor, gamma: float, signed: bool) -> Tensor:
    """The derivative of :func:`_power` by the hardness, which is below 0 where it is ``signed``, or by rounding."""
    slope = 1 - weight
    if signed:
        slope *= hardness >= 0
    if gamma == 1:
        return slope
    if gamma < 1:
        return (weight.clamp(min=SMALLEST).pow(gamma - 1) * (weight > SMALLEST)).mul_(gamma).mul_(slope)
    return weight.pow(gamma - 1).mul_(gamma).mul_(slope)
