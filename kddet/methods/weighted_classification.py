"""Soft class targets with a weight on the background."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from kddet.heads import Classification
from kddet.losses import weighted_soft_binary_cross_entropy, weighted_soft_cross_entropy
from kddet.recording.recorder import Records
from kddet.registry import MODELS

from .base import HeadMethod

NORMALIZERS = ('samples', 'positives')


@MODELS.register_module()
class WeightedClassification(HeadMethod):
    r"""Mix the student's classification loss with a cross-entropy against the teacher's scores.

    Chen et al., *Learning Efficient Object Detection Models with Knowledge Distillation*, NIPS 2017, Sec. 3.2: in the
    RPN over the student's sampled anchors, in the RoI head over the student's sampled RoIs, which both models score;
    in dense heads, which the paper does not treat, over every anchor or point that is not ignored.

    .. math:: L_{cls} = \mu\, L_{hard} + (1 - \mu)\, L_{soft}

    The student's own term is in the log as the scaled one. ``loss_weight`` :math:`w` goes from the plain student (0)
    to the formula (1): the factors are :math:`1 - w (1 - \mu)` and :math:`w (1 - \mu)`.

    With a teacher of fewer classes (``class_map``) the hard loss of all classes is scaled, of those without a partner
    too: choose ``mu`` near 1 where many have none.

    Args:
        mu: the paper's :math:`\mu`, for which it gives no value. At 1 the hard loss is all there is, and the method is
            off, as with ``loss_weight=0``.
        background_weight: of the background inside the sum over classes; the paper's is 1.5.
        temperature: the paper finds none to work best.
        heads: which of ``'dense'``, ``'rpn'``, ``'roi'``; None takes all of the student's.
        dense_normalizer: what the soft term of a dense head is divided by: the ``'samples'`` that are not ignored, as
            the paper's means over samples are, or ``'positives'``, as the head's own loss is. Without focal
            modulation, the second lets the many easy negatives outweigh everything else.
        loss_weight: 0 to 1.
    """

    highest_weight = 1.0

    def __init__(self, mu: float = 0.5, background_weight: float = 1.5, temperature: float = 1.0,
                 heads: Sequence[str] | None = None, dense_normalizer: str = 'samples',
                 loss_weight: float = 1.0) -> None:
        super().__init__(heads, loss_weight)
        if not 0 <= mu <= 1:
            raise ValueError(f'mu is {mu}, it must be between 0 and 1')
        if loss_weight > self.highest_weight:
            raise ValueError(f'loss_weight is {loss_weight} in WeightedClassification, it must be at most 1: the hard '
                             "term's factor is 1 - loss_weight * (1 - mu)")
        if dense_normalizer not in NORMALIZERS:
            raise ValueError(f'dense_normalizer is {dense_normalizer!r}, allowed are {list(NORMALIZERS)}')
        if mu == 1:
            self.loss_weight, self.switch = 0.0, 'mu'
        self.mu, self.background_weight, self.temperature = mu, background_weight, temperature
        self.dense_normalizer = dense_normalizer

    def forward(self, student: Records, teacher: Records, samples: list) -> dict[str, Tensor]:
        return {f'loss{reader.suffix}': (1 - self.mu) * reader.factor * self._soft(
            reader.classification(student, teacher), reader.name) for reader in self.readers if reader.fired(student)}

    def student_factors(self, weight: float) -> dict[str, float]:
        return {reader.classification_loss: 1 - weight * (1 - self.mu) for reader in self.readers}

    def _soft(self, rows: Classification, head: str) -> Tensor:
        samples = head == 'dense' and self.dense_normalizer == 'samples'
        options: dict[str, Any] = dict(background_weight=self.background_weight, temperature=self.temperature,
                       avg_factor=rows.num_samples.clamp(min=1) if samples else rows.avg_factor)
        if rows.softmax:
            return weighted_soft_cross_entropy(rows.student, rows.teacher, weight=rows.weights, **options)
        levels = [weighted_soft_binary_cross_entropy(*pair, weight=weight, **options)
                  for pair, weight in zip(rows.paired, rows.by_level(rows.weights))]
        return sum(levels[1:], levels[0])
