"""Adaptive distillation loss: KL to the teacher's scores, weighted by how hard a sample is to learn and to mimic."""
from __future__ import annotations

from mmdet.models.losses.utils import weight_reduce_loss
from torch import Tensor
from torch.nn import functional as F

from .hint import at_least_float32

FORMS = ('paper', 'code', 'softmax')
POWER = 1.8  # of the teacher's score in the normaliser, from the authors' configs


def adaptive_distillation_loss(student_logits: Tensor, teacher_logits: Tensor, *, beta: float = 1.5,
                               gamma: float = 1.0, form: str = 'paper', alpha: float = 0.5, temperature: float = 1.0,
                               weight: Tensor | None = None, avg_factor: float | Tensor | None = None,
                               detach_weight: bool = False) -> Tensor:
    r"""Compare the student's scores with the teacher's, the more so where the teacher is unsure or the two disagree.

    Tang et al., *Learning Efficient Detector with Semi-supervised Adaptive Distillation* (arXiv:1901.00366), Eq. 5-8.
    With :math:`p` and :math:`q` the sigmoid scores of student and teacher and :math:`T(q)` the teacher's entropy:

    .. math:: L = \big(1 - e^{-(\mathrm{KL} + \beta T(q))}\big)^\gamma\, \mathrm{KL}, \quad
              \mathrm{KL} = q \log\frac{q}{p} + (1 - q) \log\frac{1 - q}{1 - p}

    The authors' code differs, and is ``form='code'``. Its ``beta`` has the opposite role (1 minus the paper's; they
    release 0 with ``gamma=2``), it weighs an :math:`\alpha`-weighted cross-entropy, and its temperature only
    multiplies the result:

    .. math:: L = T^2 \big(1 - e^{-(\mathrm{CE} - \beta T(q))}\big)^\gamma
              \big(-\alpha\, q \log p - (1 - \alpha)(1 - q) \log(1 - p)\big)

    ``form='softmax'`` is the paper's form over the classes of a row, an extension for RoI heads. The paper names no
    temperature; in its forms the logits are divided by it and the loss is multiplied by its square, as Hinton's is.

    Args:
        student_logits: any shape; ``(N, C + 1)``, the background last, for ``'softmax'``.
        teacher_logits: the same shape; detached.
        beta: weight of the teacher's entropy; the paper gives no value, 1.5 is that of two later implementations.
        gamma: 0 is the plain KL.
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
    if student_logits.shape != teacher_logits.shape:
        raise ValueError(f"the student's logits are {tuple(student_logits.shape)}, the teacher's "
                         f'{tuple(teacher_logits.shape)}; they must agree')
    if not (gamma >= 0 and temperature > 0):
        raise ValueError(f'gamma is {gamma} and temperature {temperature}; they must be 0 or more, and more than 0')
    hardness, loss = _hardness_and_term(student_logits, teacher_logits, beta, form, alpha, temperature)
    factor = _power(hardness, gamma)
    loss = temperature**2 * (factor.detach() if detach_weight else factor) * loss
    if avg_factor is None:
        avg_factor = adaptive_normalizer(teacher_logits, form=form, weight=weight).clamp(min=1)
    if not loss.numel():
        return loss.sum()
    return weight_reduce_loss(loss, weight, 'mean', avg_factor)


def adaptive_weight(student_logits: Tensor, teacher_logits: Tensor, *, beta: float = 1.5, gamma: float = 1.0,
                    form: str = 'paper', temperature: float = 1.0) -> Tensor:
    """The weight by itself, 0 to 1, of the logits' shape (of the rows for ``'softmax'``)."""
    return _power(_hardness_and_term(student_logits, teacher_logits, beta, form, 0.5, temperature)[0], gamma)


def adaptive_normalizer(teacher_logits: Tensor, *, form: str = 'paper', weight: Tensor | None = None) -> Tensor:
    r"""The authors' denominator, :math:`\sum q^{1.8}`, a soft count of positives; over foreground classes.

    Their code counts ignored anchors as well; here what has weight 0 is left out.
    """
    logits = at_least_float32(teacher_logits.detach())
    scores = logits.softmax(1)[:, :-1] if form == 'softmax' else logits.sigmoid()
    scores = scores.pow(POWER)
    if weight is not None:
        scores = scores * ((weight[:, None] if form == 'softmax' else weight) > 0)
    return scores.sum()


def _hardness_and_term(student: Tensor, teacher: Tensor, beta: float, form: str, alpha: float,
                       temperature: float) -> tuple[Tensor, Tensor]:
    """What the exponential takes, and what is weighted. From logits: finite for any of them."""
    if form not in FORMS:
        raise ValueError(f'form is {form!r}, allowed are {list(FORMS)}')
    student, teacher = at_least_float32(student), at_least_float32(teacher.detach())
    if form != 'code':
        student, teacher = student / temperature, teacher / temperature
    if form == 'softmax':
        log_p, log_q = student.log_softmax(1), teacher.log_softmax(1)
        q = log_q.exp()
        divergence = (q * (log_q - log_p)).sum(1).clamp(min=0)
        return divergence - beta * (q * log_q).sum(1), divergence
    q = teacher.sigmoid()
    absent = (-teacher).sigmoid()  # 1 - q, exact where q is next to 1
    present_term, absent_term = -q * F.logsigmoid(student), -absent * F.logsigmoid(-student)
    entropy = -(q * F.logsigmoid(teacher) + absent * F.logsigmoid(-teacher))
    cross_entropy = present_term + absent_term
    if form == 'code':
        return cross_entropy - beta * entropy, alpha * present_term + (1 - alpha) * absent_term
    divergence = (cross_entropy - entropy).clamp(min=0)
    return divergence + beta * entropy, divergence


def _power(hardness: Tensor, gamma: float) -> Tensor:
    weight = -(-hardness.clamp(min=0)).expm1()
    if gamma == 1:
        return weight
    return weight.clamp(min=1e-12).pow(gamma) if gamma < 1 else weight.pow(gamma)  # a steep power has no slope at 0
