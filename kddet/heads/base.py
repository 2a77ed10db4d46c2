"""What methods read of a head: the student's rows, the teacher's same rows, and what the student was assigned."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from kddet.recording.recorder import Call, ClassMap, Records


class Scores(NamedTuple):
    """Class logits of one level as the heads lay them out, so that comparing them element by element copies nothing."""
    student: Tensor  # (N, A, C, P): images, anchors of a cell, classes, cells; (R, 1, C, 1) of RoIs
    teacher: Tensor | None  # the same shape; None for a level that the teacher does not have


@dataclass(frozen=True)
class Classification:
    """Class logits of one head, one row an anchor, a point or a RoI; the rows of both models are in the same order."""
    levels: tuple[Scores, ...]  # C classes of a sigmoid head, C + 1 of a softmax head, the background last
    labels: Tensor  # (R,), the background is C
    weights: Tensor  # (R,), 0 for what is ignored or was not sampled
    softmax: bool
    num_samples: Tensor  # how many rows the head's own loss counts, a scalar
    avg_factor: float | Tensor  # what the head's own loss is divided by

    @cached_property
    def student(self) -> Tensor:
        """Rows ``(R, C)`` or ``(R, C + 1)``, by level, image, cell, anchor: a copy where there are several levels."""
        return _rows([level.student for level in self.levels])

    @cached_property
    def teacher(self) -> Tensor:
        """The same of the teacher, 0 where it has no such level."""
        return _rows([torch.zeros_like(level.student) if level.teacher is None else level.teacher
                      for level in self.levels])

    @property
    def paired(self) -> list[tuple[Tensor, Tensor]]:
        """Student and teacher, ``(N, A, C, P)`` each, of every level that both have."""
        return [(level.student, level.teacher) for level in self.levels if level.teacher is not None]

    def by_level(self, values: Tensor) -> list[Tensor]:
        """A value a row, ``(R,)``, as ``(N, A, 1, P)`` for each level of :attr:`paired`."""
        shapes = [level.student.shape for level in self.levels]
        parts = values.split([images * anchors * cells for images, anchors, _, cells in shapes])
        return [part.view(images, cells, anchors).transpose(1, 2)[:, :, None].contiguous()
                for part, (images, anchors, _, cells), level in zip(parts, shapes, self.levels)
                if level.teacher is not None]


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
        self.kinds = type(student).__name__, type(teacher).__name__
        self.student_taps: Sequence[str] = (tap, f'{tap}.loss_cls', f'{tap}.loss_bbox')
        self.teacher_taps: Sequence[str] = (tap,)
        self.boxes_of_pair = self.describe_boxes(student), self.describe_boxes(teacher)
        self.class_counts = getattr(student, 'num_classes', None), getattr(teacher, 'num_classes', None)

    def build(self, student: Records, teacher: Records) -> None:
        """Check from the records of a probe that the rows can be compared.

        Raises:
            ValueError: they cannot.
        """
        self.check_classes(self.class_map(teacher))

    def compared(self) -> str:
        """What is compared, in words; once it is built."""
        counts = ' with '.join(dict.fromkeys(f'{count}' for count in self.class_counts))
        return f'{self.tap}, {" with ".join(dict.fromkeys(self.kinds))}, row by row, classes: {counts}'

    def unpaired(self) -> str:
        """Levels that are left out, in words."""
        return ''

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

    def class_map(self, teacher: Records) -> ClassMap | None:
        """The teacher's; heads that know no classes have none."""
        return teacher.class_map

    def check_classes(self, class_map: ClassMap | None) -> None:
        own, other = self.class_counts
        if class_map is None and own != other:
            raise ValueError(f'{self.tap} of the student has {own} classes, that of the teacher {other}; scores and '
                             'boxes of classes compare only where both have the same list, or with a class_map of the '
                             'teacher: --class-map')
        outside = [pair for pair in class_map or () if not (0 <= pair[0] < (own or 0) and 0 <= pair[1] < (other or 0))]
        if outside:
            raise ValueError(f'class_map has {outside}, and {self.tap} of the student has classes 0 to '
                             f'{(own or 0) - 1}, that of the teacher 0 to {(other or 0) - 1}')

    def known(self, labels: Tensor, teacher: Records) -> Tensor:
        """``(R,)``, 0 for rows of a class that the teacher does not have: its boxes of them mean nothing."""
        class_map = self.class_map(teacher)
        if class_map is None:
            return torch.ones_like(labels, dtype=torch.float32)
        table = torch.zeros(self.head.num_classes + 1, device=labels.device)
        table[[own for own, _ in class_map]] = 1
        return table[labels]

    def shared(self, rows: Classification, teacher: Records) -> Classification:
        """The columns of classes that both have. Rows of another class are background, where a softmax leaves them out.
        """
        class_map = self.class_map(teacher)
        if class_map is None:
            return rows
        device, (own, other) = rows.labels.device, map(list, zip(*class_map))
        count, total = len(own), self.head.num_classes
        table = torch.full((total + 1,), count, device=device)
        table[torch.tensor(own, device=device)] = torch.arange(count, device=device)
        labels, weights = table[rows.labels], rows.weights
        if rows.softmax:
            weights = weights * ((labels < count) | (rows.labels == total))
            own, other = [*own, total], [*other, self.class_counts[1]]
        columns, others = (torch.tensor(classes, device=device) for classes in (own, other))
        levels = tuple(Scores(level.student[:, :, columns],
                              None if level.teacher is None else level.teacher[:, :, others]) for level in rows.levels)
        return replace(rows, levels=levels, labels=labels, weights=weights)

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


def _rows(levels: list[Tensor]) -> Tensor:
    rows = [level.permute(0, 3, 1, 2).reshape(-1, level.shape[2]) for level in levels]
    return rows[0] if len(rows) == 1 else torch.cat(rows)
