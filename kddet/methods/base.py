"""What a distillation method is: the taps it reads, the modules it trains, the losses it returns."""
from __future__ import annotations

from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor

from kddet.recorder import Records


class DistillMethod(BaseModule):
    """One term, or a few, added to the student's own losses.

    A subclass names its taps, creates what it trains in :meth:`build`, and computes its losses in :meth:`forward`.

    Args:
        loss_weight: multiplies every loss of the method. At 0 the method is off: it is not run, and when every
            method that reads the teacher is off, neither is the teacher.
    """

    student_taps: Sequence[str] = ()
    teacher_taps: Sequence[str] = ()

    def __init__(self, loss_weight: float = 1.0, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if not loss_weight >= 0:
            raise ValueError(f'loss_weight is {loss_weight} in {type(self).__name__}, it must be 0 or more')
        self.loss_weight = float(loss_weight)
        self.schedule = 1.0  # factor on loss_weight, set by kddet.LossWeightHook

    @property
    def weight(self) -> float:
        """The weight of this iteration: ``loss_weight`` times its schedule."""
        return self.loss_weight * self.schedule

    @property
    def needs_teacher(self) -> bool:
        return bool(self.teacher_taps)

    def build(self, student: Records, teacher: Records) -> None:
        """Create adapters from the records of a probe forward of one image; called once, before the optimizer."""

    def forward(self, student: Records, teacher: Records, samples: list) -> dict[str, Tensor]:
        """The method's losses, not yet weighted.

        Args:
            student: records of the student's own ``loss`` forward, with gradients.
            teacher: records of the teacher on the same batch, without.
            samples: MMDet data samples with ``gt_instances``; boxes in network-input pixels.

        Returns:
            ``{'loss': ...}`` or ``{'loss_<term>': ...}``, logged as ``loss_<name>`` and ``loss_<name>_<term>``, where
            ``<name>`` is the method's key in the config. Other keys are statistics, logged as ``<name>_<key>``.
        """
        raise NotImplementedError

    def untouched(self) -> Tensor | None:
        """A zero that depends on every trainable parameter, for iterations in which the method is off."""
        parameters = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return sum(parameter.sum() * 0 for parameter in parameters) if parameters else None  # type: ignore[return-value]
