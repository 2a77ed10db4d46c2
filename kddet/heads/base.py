"""What methods read of a head: the student's rows, the teacher's same rows, and what the student was assigned."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from kddet.recorder import Call, Records


@dataclass(frozen=True)
class Classification:
    """Class logits of one head, one row an anchor, a point or a RoI; the rows of both models are in the same order."""
    student: Tensor  # (R, C) of a sigmoid head; (R, C + 1) of a softmax head, the background last
    teacher: Tensor  # the same shape
    labels: Tensor  # (R,), the background is C
    weights: Tensor  # (R,), 0 for what is ignored or was not sampled
    softmax: bool
    num_samples: Tensor  # how many rows the head's own loss counts, a scalar
    avg_factor: float | Tensor  # what the head's own loss is divided by


@dataclass(frozen=True)
class Regression:
    """Boxes of one head's positives in its regression space: deltas, or distances to the four sides in strides."""
    student: Tensor  # (P, 4)
    teacher: Tensor  # (P, 4)
    target: Tensor  # (P, 4)
    weights: Tensor  # (P,), as in the head's own loss
    avg_factor: float | Tensor  # what the head's own loss is divided by


class HeadReader:
    """Reads one head of the student beside the same head of the teacher; one subclass a family of heads.

    What the student was assigned is read where its losses take it in (``<head>.loss_cls``, ``<head>.loss_bbox``), so
    no assigner and no sampler runs twice and no head is subclassed.

    Args:
        name: ``'dense'``, ``'rpn'`` or ``'roi'``, as methods choose heads by it.
        tap: dotted name of the head, the same in both detectors.
        student, teacher: the heads.

    Attributes:
        suffix: of the losses of this head: ``''``, ``'_rpn'``, ``'_roi'``, ``'_roi_s0'``.
        factor: MMDet's weight of the stage.
        classification_loss: key of the classification in the student's loss dict.
    """

    family: type  # whose boxes have the same meaning
    name: str
    suffix: str
    factor: float = 1.0
    classification_loss: str

    def __init__(self, name: str, tap: str, student: Any, teacher: Any) -> None:
        self.name, self.tap, self.head = name, tap, student
        self.student_taps: Sequence[str] = (tap, f'{tap}.loss_cls', f'{tap}.loss_bbox')
        self.teacher_taps: Sequence[str] = (tap,)
        self.boxes_of_pair = self.describe_boxes(student), self.describe_boxes(teacher)
        self.check_classes(student, teacher)

    def build(self, student: Records, teacher: Records) -> None:
        """Check from the records of a probe that the rows can be compared.

        Raises:
            ValueError: they cannot.
        """

    def check_boxes(self) -> None:
        """Refuse a teacher whose boxes are in another regression space; only for methods that read boxes.

        Raises:
            ValueError: shows both.
        """
        own, other = self.boxes_of_pair
        if own != other:
            raise ValueError(f'{self.tap}: the boxes of the student ({own}) and of the teacher ({other}) are not in '
                             'the same regression space and cannot be compared')

    def fired(self, student: Records) -> bool:
        """Whether the student computed this head's losses; a batch without proposals ends a cascade early."""
        return bool(student[f'{self.tap}.loss_cls'])

    def classification(self, student: Records, teacher: Records) -> Classification:
        """Scores of every row."""
        raise NotImplementedError

    def regression(self, student: Records, teacher: Records) -> Regression:
        """Boxes of the positives."""
        raise NotImplementedError

    def inside(self, student: Records, samples: list) -> Tensor | None:
        """``(R,)``, 0 for rows in the padding of their picture; None where there are none."""
        return None

    def check_classes(self, student: Any, teacher: Any) -> None:
        counts = [getattr(head, 'num_classes', None) for head in (student, teacher)]
        if counts[0] != counts[1]:
            raise ValueError(f'{self.tap} of the student has {counts[0]} classes, that of the teacher {counts[1]}; '
                             'scores and boxes of classes compare only where both have the same list')

    def positives(self, labels: Tensor) -> Tensor:
        """Indices ``(P,)`` of the rows that were assigned a class."""
        if labels.dtype.is_floating_point:
            raise ValueError(f'{self.tap} ({type(self.head).__name__}) has labels of type {labels.dtype}; kddet reads '
                             'heads with integer labels')
        return ((labels >= 0) & (labels < self.head.num_classes)).nonzero().squeeze(1)

    def describe_boxes(self, head: Any) -> str:
        """The regression space in words: whose boxes, which coder, with which statistics."""
        family = self.family.__name__ if isinstance(head, self.family) else type(head).__name__
        coder = getattr(head, 'bbox_coder', None)
        statistics = [f'{name} {tuple(getattr(coder, name))}' for name in ('means', 'stds') if hasattr(coder, name)]
        return ', '.join([family, type(coder).__name__, *statistics])


def argument(call: Call, position: int, name: str) -> Any:
    """An argument of a recorded call, given by position or by name."""
    return call.args[position] if len(call.args) > position else call.kwargs.get(name)


def same_code(head: nn.Module, host: type, names: Sequence[str]) -> bool:
    """Whether a head is a ``host`` and has these methods from it, whatever its layers are."""
    return isinstance(head, host) and all(getattr(type(head), name) is getattr(host, name) for name in names)
