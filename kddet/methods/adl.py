"""Adaptive distillation: class scores, the harder the sample the more."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.utils import reduce_mean
from torch import Tensor

from kddet.heads import Classification, HeadReader
from kddet.losses.adaptive_distillation import AdaptiveSums, adaptive_sums, adaptive_weight, shape_of
from kddet.recording.recorder import Records
from kddet.registry import MODELS

from .base import HeadMethod

NORMALIZERS = ('teacher', 'positives')


@MODELS.register_module()
class AdaptiveDistillation(HeadMethod):
    r"""Add the adaptive distillation loss to the student's own classification loss, which stays what it is.

    Tang et al., *Learning Efficient Detector with Semi-supervised Adaptive Distillation* (arXiv:1901.00366), for
    RetinaNet: every class of every anchor that is not ignored, divided by :math:`\sum q^{1.8}` over them, averaged
    over processes (the authors' code counts ignored anchors too, and does not average). Cells that begin outside the
    picture, in its padding, are left out. Also for FCOS, ATSS, GFL (its quality scores) and the RPN (over the anchors
    that were sampled), and as ``form='softmax'`` for RoI heads over shared RoIs, which is an extension.

    Statistics: ``<name>_weight_positive`` is the mean adaptive weight of the classes that rows were assigned,
    ``<name>_weight_negative`` that of all others: what is hard to learn, and what is hard to mimic.

    Args:
        beta, gamma, form, alpha, temperature, detach_weight: of :func:`kddet.losses.adaptive_distillation_loss`; RoI
            heads, and dense heads with a softmax, take the softmax form beside ``'paper'`` and ``'code'``.
        normalizer: ``'teacher'`` divides by the soft count of the teacher's scores, as the authors release it,
            ``'positives'`` by what the head's own classification loss is divided by, the other choice of their code.
        heads: which of ``'dense'``, ``'rpn'``, ``'roi'``; None takes all of the student's.
        loss_weight: of the term; the authors' is 1.
    """

    reads_labels = False

    def __init__(self, beta: float | None = None, gamma: float | None = None, form: str = 'paper', alpha: float = 0.5,
                 temperature: float = 1.0, detach_weight: bool = False, normalizer: str = 'teacher',
                 heads: Sequence[str] | None = None, loss_weight: float = 1.0) -> None:
        super().__init__(heads, loss_weight)
        beta, gamma = shape_of(form, beta, gamma)
        if not temperature > 0:
            raise ValueError(f'temperature is {temperature}, it must be more than 0')
        if normalizer not in NORMALIZERS:
            raise ValueError(f'normalizer is {normalizer!r}, allowed are {list(NORMALIZERS)}')
        self.form, self.alpha, self.detach_weight, self.normalizer = form, alpha, detach_weight, normalizer
        self.shape = dict(beta=beta, gamma=gamma, temperature=temperature)

    def forward(self, student: Records, teacher: Records, samples: list) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = {}
        for reader in self.readers:
            if reader.fired(student):
                terms |= self._terms(reader, reader.classification(student, teacher), reader.inside(student, samples))
        return terms

    def _terms(self, reader: HeadReader, rows: Classification, inside: Tensor | None) -> dict[str, Tensor]:
        kept = (rows.weights > 0).float() if inside is None else (rows.weights > 0) * inside.float()
        form, shape = self._form(reader, rows)
        options: dict[str, Any] = dict(form=form, alpha=self.alpha, detach_weight=self.detach_weight, **shape)
        if form == 'softmax':
            sums = adaptive_sums(rows.student, rows.teacher, weight=kept, **options)
        else:
            levels = [adaptive_sums(*pair, weight=weight, **options)
                      for pair, weight in zip(rows.paired, rows.by_level(kept))]
            sums = AdaptiveSums(*(torch.stack(parts).sum() for parts in zip(*levels)))
        normalizer = rows.avg_factor if self.normalizer == 'positives' else reduce_mean(sums.normalizer).clamp(min=1)
        statistics = self._statistics(rows, kept, form, shape, sums.weight)
        return {f'loss{reader.suffix}': reader.factor * sums.loss / normalizer,
                **{f'{name}{reader.suffix}': value for name, value in statistics.items()}}

    def _form(self, reader: HeadReader, rows: Classification) -> tuple[str, dict[str, float]]:
        """The form for a head, and its beta: the softmax form's is the paper's."""
        if self.form == 'softmax' and not rows.softmax:
            raise ValueError(f"form='softmax' is for heads with a softmax, and {reader.tap} has sigmoids; choose "
                             "`heads`, or form='paper', which takes the softmax form where there is a softmax")
        if self.form == 'code' and rows.softmax:
            return 'softmax', dict(self.shape, beta=1 - self.shape['beta'])
        return 'softmax' if rows.softmax else self.form, self.shape

    @torch.no_grad()
    def _statistics(self, rows: Classification, kept: Tensor, form: str, shape: dict[str, float],
                    total: Tensor) -> dict[str, Tensor]:
        """Means over what was assigned, from one class a row, and over the rest, from the sum of all weights."""
        columns = rows.levels[0].student.shape[2]
        foreground = kept * (rows.labels < columns - rows.softmax)
        if form == 'softmax':
            weights, count = adaptive_weight(rows.student, rows.teacher, form=form, **shape), kept.sum()
        else:
            column = rows.by_level(rows.labels.clamp(max=columns - 1))
            own, other = (torch.cat([level.gather(2, index).flatten() for level, index in zip(levels, column)])
                          for levels in zip(*rows.paired))
            foreground = torch.cat([level.flatten() for level in rows.by_level(foreground)])
            weights, count = adaptive_weight(own, other, form=form, **shape), kept.sum() * columns
        positive, positives = (weights * foreground).sum(), foreground.sum()
        return dict(weight_positive=positive / positives.clamp(min=1),
                    weight_negative=(total - positive) / (count - positives).clamp(min=1))
