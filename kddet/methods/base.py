"""What a distillation method is: the taps it reads, the modules it trains, the losses it returns."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from mmengine.model import BaseModule
from torch import Tensor

from kddet.heads import HeadReader, find_heads
from kddet.recording.recorder import Records


class DistillMethod(BaseModule):
    """One term, or a few, added to the student's own losses.

    A subclass names its taps, creates what it trains in :meth:`build`, and computes its losses in :meth:`forward`.

    Args:
        loss_weight: multiplies every loss of the method. At 0 the method is off: it is not run, and when every
            method that reads the teacher is off, neither is the teacher.
    """

    student_taps: Sequence[str] = ()
    teacher_taps: Sequence[str] = ()
    reads_labels = True  # of every image of the batch; if not, images that are unlabelled may come with the rest
    highest_weight = math.inf  # that loss_weight may have
    switch = 'loss_weight'  # option that keeps the method off, where its loss_weight is 0
    compares_classes = False  # reads the teacher's scores class by class, so that both must have the same classes
    own_classes: tuple[str, ...] | None = None  # of the labels that a model of the method's own knows
    compared: Sequence[str] = ()  # what meets what, in words, for the report before training; set by build()
    unpaired: Sequence[str] = ()  # levels that are left out
    unequal: Sequence[str] = ()  # strides of levels that meet though they differ, '4 with 32'

    def __init__(self, loss_weight: float = 1.0, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if not 0 <= loss_weight < float('inf'):
            raise ValueError(f'loss_weight is {loss_weight} in {type(self).__name__}, it must be 0 or more')
        self.loss_weight = float(loss_weight)
        self.schedule = 1.0  # factor on loss_weight, set by kddet.LossWeightHook

    @property
    def weight(self) -> float:
        """The weight of this iteration: ``loss_weight`` times its schedule."""
        return self.loss_weight * self.schedule

    @property
    def risen(self) -> float:
        """Share of its ``loss_weight`` that the method has in this iteration, by its schedule and its own warm-up."""
        return self.schedule

    def weighed_by(self, term: str) -> tuple[str, DistillMethod]:
        """Whose ``loss_weight`` weighs a term, and its name in the config as a prefix; for messages.

        Args:
            term: a key of what :meth:`forward` returns.
        """
        return '', self

    @property
    def needs_teacher(self) -> bool:
        return bool(self.teacher_taps)

    def bind(self, student: Any, teacher: Any) -> None:
        """Choose taps by what the detectors are, before the probe; for methods that read heads (``kddet.heads``)."""

    def build(self, student: Records, teacher: Records) -> None:
        """Create adapters from the records of a probe forward of one image; called once, before the optimizer."""

    def init_student(self, student: Any) -> None:
        """Change the weights that the student starts from; not called with ``loss_weight=0``, the plain student."""

    def record(self, samples: list) -> Records | None:
        """What a frozen model of the method's own says of a batch, in place of a teacher's records; None without one.

        Called before the student runs, so that what the model computes on the way is gone by then.
        """
        return None

    def forward(self, student: Records, teacher: Records, samples: list) -> dict[str, Tensor]:
        """The method's losses, not yet weighted.

        Args:
            student: records of the student's own ``loss`` forward, with gradients.
            teacher: records of the teacher on the same batch, without; or those of :meth:`record`.
            samples: MMDet data samples with ``gt_instances``; boxes in network-input pixels.

        Returns:
            ``{'loss': ...}`` or ``{'loss_<term>': ...}``, logged as ``loss_<name>`` and ``loss_<name>_<term>``, where
            ``<name>`` is the method's key in the config. Other keys are statistics, logged as ``<name>_<key>``.
        """
        raise NotImplementedError

    def student_factors(self, weight: float) -> dict[str, float]:
        """Factors on the student's own losses, by their key in its loss dict; called in iterations that are on.

        Args:
            weight: the method's weight of this iteration; as it goes to 0, the factors must go to 1.
        """
        return {}

    def untouched(self) -> Tensor | None:
        """A zero that depends on every trainable parameter, for iterations in which the method is off."""
        parameters = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return sum(parameter.sum() * 0 for parameter in parameters) if parameters else None  # type: ignore[return-value]


class HeadMethod(DistillMethod):
    """A method that compares what the heads of both models say of the same anchors, points and RoIs.

    Args:
        heads: which of ``'dense'``, ``'rpn'``, ``'roi'``; None takes all of the student's.
    """

    needs_teacher = True
    compares_classes = True
    reads_boxes = False

    def __init__(self, heads: Sequence[str] | None, loss_weight: float) -> None:
        super().__init__(loss_weight)
        self.heads = heads
        self.compares_classes = heads is None or set(heads) != {'rpn'}  # an RPN knows none
        self.readers: list[HeadReader] = []

    def bind(self, student: Any, teacher: Any) -> None:
        self.readers = find_heads(student, teacher, self.heads, self.reads_boxes)
        self.student_taps = tuple(tap for reader in self.readers for tap in reader.student_taps)
        self.teacher_taps = tuple(tap for reader in self.readers for tap in reader.teacher_taps)

    def build(self, student: Records, teacher: Records) -> None:
        for reader in self.readers:
            reader.build(student, teacher)
        self.compared = [reader.compared() for reader in self.readers]
        self.unpaired = [line for reader in self.readers if (line := reader.unpaired())]
