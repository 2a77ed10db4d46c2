"""The complete recipe of Chen et al., NIPS 2017, in one entry."""
from __future__ import annotations

from typing import Any

from mmengine.model import ModuleDict
from torch import Tensor

from kddet.recording.recorder import Records
from kddet.registry import MODELS

from .base import DistillMethod

PARTS = dict(hint='kddet.HintLearning', cls='kddet.WeightedClassification', reg='kddet.TeacherBoundedRegression')


@MODELS.register_module()
class Chen2017(DistillMethod):
    r"""Hints, soft classes with a weighted background, and teacher-bounded boxes together.

    Chen et al., *Learning Efficient Object Detection Models with Knowledge Distillation*, NIPS 2017, Sec. 3:
    :math:`L = L_{RPN} + L_{RCN} + \gamma L_{hint}`. Each part takes its own arguments, whose defaults are the
    paper's; None, a ``loss_weight`` of 0 or the ``mu`` of ``cls`` at 1 leaves a part out.

    Args:
        hint: arguments of :class:`kddet.HintLearning`; its ``loss_weight`` is :math:`\gamma = 0.5`.
        cls: arguments of :class:`kddet.WeightedClassification`.
        reg: arguments of :class:`kddet.TeacherBoundedRegression`; its ``loss_weight`` is :math:`\nu = 0.5`.
        loss_weight: multiplies all, 0 to 1: from the plain student to the recipe. :class:`kddet.LossWeightHook`
            schedules it, not the parts; parts with schedules of their own are methods of their own.
    """

    needs_teacher = True
    compares_classes = True
    highest_weight = 1.0

    def __init__(self, hint: dict | None = dict(), cls: dict | None = dict(), reg: dict | None = dict(),
                 loss_weight: float = 1.0) -> None:
        super().__init__(loss_weight)
        if loss_weight > self.highest_weight:
            raise ValueError(f'loss_weight is {loss_weight} in Chen2017, it must be at most 1; a part has a '
                             'loss_weight of its own')
        given = dict(hint=hint, cls=cls, reg=reg)
        parts = {name: MODELS.build(dict(options, type=PARTS[name])) for name, options in given.items()
                 if options is not None}
        self.parts = ModuleDict({name: part for name, part in parts.items() if part.weight})
        if not len(self.parts):
            raise ValueError('Chen2017 has all its parts switched off (None, loss_weight 0, or the mu of cls 1); leave '
                             'one on, or take the method out')
        self.compares_classes = any(part.compares_classes for part in self.parts.values())

    def bind(self, student: Any, teacher: Any) -> None:
        for part in self.parts.values():
            part.bind(student, teacher)
        self.student_taps = tuple(tap for part in self.parts.values() for tap in part.student_taps)
        self.teacher_taps = tuple(tap for part in self.parts.values() for tap in part.teacher_taps)

    def build(self, student: Records, teacher: Records) -> None:
        for part in self.parts.values():
            part.build(student, teacher)
        self.compared, self.unpaired = ([f'{name}: {line}' for name, part in self.parts.items()
                                         for line in getattr(part, kind)] for kind in ('compared', 'unpaired'))
        self.unequal = [line for part in self.parts.values() for line in part.unequal]

    def forward(self, student: Records, teacher: Records, samples: list) -> dict[str, Tensor]:
        losses: dict[str, Tensor] = {}
        for name, part in self.parts.items():
            terms = part(student, teacher, samples)
            losses |= {f'loss_{name}{key[4:]}': value * part.weight for key, value in terms.items()}
        return losses

    def weighed_by(self, term: str) -> tuple[str, DistillMethod]:
        name = next(name for name in self.parts if term.startswith(f'loss_{name}'))
        return f'{name}.', self.parts[name]

    def student_factors(self, weight: float) -> dict[str, float]:
        factors: dict[str, float] = {}
        for part in self.parts.values():
            factors |= part.student_factors(weight * part.weight)
        return factors
