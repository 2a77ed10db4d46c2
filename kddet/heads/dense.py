"""Dense heads: maps of every level as rows, level by level, in the order in which MMDet flattens them."""
from __future__ import annotations

from typing import Any, NamedTuple

import torch
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor

from kddet.levels import pair_levels
from kddet.recording.recorder import Pyramid, Records
from kddet.teachers.external.detector import ExternalHead

from .base import Classification, HeadReader, Regression, Scores, argument

KEPT_SIZES = 32  # sizes of the batch whose priors are kept


class Assigned(NamedTuple):
    """Labels and weights of every row, all levels one after the other."""
    labels: Tensor  # (M,)
    weights: Tensor  # (M,)
    avg_factor: float | Tensor


class DenseReader(HeadReader):
    """What all dense heads have in common. A level of the student that has no partner of its size gets weight 0."""

    suffix = ''
    classification_loss = 'loss_cls'

    def __init__(self, name: str, tap: str, student: Any, teacher: Any) -> None:
        super().__init__(name, tap, student, teacher)
        self.anchors = [_anchors_in_strides(head) for head in (student, teacher)]
        self.level_strides = [_strides(head) for head in (student, teacher)]
        self.widths = student.cls_out_channels, teacher.cls_out_channels
        self._priors: dict[tuple, Tensor] = {}
        self.external: ExternalHead | None = None
        self.read_items = [0]  # of what the teacher's head gives

    def read_external(self, teacher: ExternalHead) -> None:
        """Take the teacher's maps for those of a head like the student's, with classes of its own.

        Raises:
            ValueError: they cannot be.
        """
        self.external = teacher
        width = teacher.score_width(self.head.prior_generator.num_base_priors[0], self.tap)
        count = width if getattr(self.head, 'use_sigmoid_cls', True) else width - 1
        self.kinds = self.kinds[0], 'an external model'
        self.class_counts, self.widths = (self.class_counts[0], count), (self.widths[0], width)

    def check_boxes(self) -> None:
        super().check_boxes()
        self.read_items = [0, 1]
        if self.external is not None:
            self.external.check_boxes(self.tap)

    def build(self, student: Records, teacher: Records) -> None:
        super().build(student, teacher)
        student_maps, teacher_maps = (records.pyramid(self.tap, 0) for records in (student, teacher))
        if self.external is not None:
            self.check_layout(student, teacher)
        pairs = pair_levels(student_maps, teacher_maps, None, self.tap)
        for own, other in pairs:
            if _anchors_and_size(student_maps[own], self.widths[0]) != _anchors_and_size(teacher_maps[other],
                                                                                         self.widths[1]):
                raise ValueError(f'{self.tap}: the class scores of the student are {_shapes(student_maps)} (C, H, W), '
                                 f'those of the teacher {_shapes(teacher_maps)}; both need the same anchors or points '
                                 "and classes, and a teacher's input_scale must be a power of two")
            self.check_anchors(own, other)
        self.partner: dict[int, int] = dict(pairs)

    def check_layout(self, student: Records, teacher: Records) -> None:
        """Refuse maps that are laid out in another way: of a model from outside nothing else is known of their meaning.

        Raises:
            ValueError: shows both.
        """
        for item, widths in zip(self.read_items, (self.widths, (1, 1))):
            own, other = student.pyramid(self.tap, item), teacher.pyramid(self.tap, item)
            shapes = [[level.shape[1] // width for level in maps] for maps, width in zip((own, other), widths)]
            if shapes[0] != shapes[1]:
                raise ValueError(f'{self.tap}: the {("class scores", "boxes")[item]} of the student are {_shapes(own)} '
                                 f'(C, H, W), those of the teacher {_shapes(other)}; maps of an external teacher need '
                                 "the levels, anchors or points and channels of the student's head: compare features")

    def compared(self) -> str:
        strides = [f'{self.level_strides[0][index]:g}' for index in self.partner]
        return f'{super().compared()}, strides {", ".join(strides)}'

    def unpaired(self) -> str:
        taken = set(self.partner), set(self.partner.values())
        left = [[f'{stride:g}' for index, stride in enumerate(strides) if index not in own]
                for strides, own in zip(self.level_strides, taken)]
        sides = [f'of the {owner}, stride {", ".join(strides)}' for owner, strides in zip(('student', 'teacher'), left)
                 if strides]
        return f'{self.tap} {" and ".join(sides)}' if sides else ''

    def classification(self, student: Records, teacher: Records) -> Classification:
        own, other = student.pyramid(self.tap, 0), teacher.pyramid(self.tap, 0)
        assigned = self.of_all_images(student, self.assigned(student))
        weights = self.paired(own, assigned.weights)
        levels = tuple(Scores(_by_anchor(level, self.widths[0]), _by_anchor(other[self.partner[index]], self.widths[1])
                              if index in self.partner else None) for index, level in enumerate(own))
        return self.shared(Classification(
            levels, assigned.labels, weights, softmax=not self.head.use_sigmoid_cls, num_samples=(weights > 0).sum(),
            avg_factor=assigned.avg_factor), teacher)

    def regression(self, student: Records, teacher: Records) -> Regression:
        own, other = student.pyramid(self.tap, 1), teacher.pyramid(self.tap, 1)
        labels = self.assigned(student).labels
        positive = self.positives(labels)
        paired = self.paired(own, self.known(labels, teacher))[positive]
        return self.boxes(student, own, other, positive, paired)

    def assigned(self, student: Records) -> Assigned:
        """Read off the calls of ``loss_cls``: one a level for heads with anchors."""
        calls = student[f'{self.tap}.loss_cls']
        labels = [_labels(argument(call, 1, 'target')) for call in calls]
        weights = [argument(call, 2, 'weight') for call in calls]
        self.check_rows(student, sum(label.numel() for label in labels))
        return Assigned(torch.cat(labels), torch.cat(weights), calls[0].kwargs['avg_factor'])

    def of_all_images(self, student: Records, assigned: Assigned) -> Assigned:
        """With the rows of unlabelled images, at the end of each level: labelled background, of weight 1."""
        if not student.unlabelled:
            return assigned
        maps = student.pyramid(self.tap, 0)
        unlabelled = [student.unlabelled * level[0].numel() // self.head.cls_out_channels for level in maps]
        labelled = [(len(level) - student.unlabelled) * count // student.unlabelled
                    for level, count in zip(maps, unlabelled)]

        def filled(values: Tensor, fill: float) -> Tensor:
            return torch.cat([part for level, count in zip(values.split(labelled), unlabelled)
                              for part in (level, values.new_full((count,), fill))])
        return assigned._replace(labels=filled(assigned.labels, self.head.num_classes),
                                 weights=filled(assigned.weights, 1))

    def boxes(self, student: Records, own: Pyramid, other: Pyramid, positive: Tensor, paired: Tensor) -> Regression:
        """Boxes of the positives.

        Args:
            own, other: the second output of the student's and of the teacher's head.
            positive: ``(P,)``, which rows.
            paired: ``(P,)``, 0 for positives on levels that the teacher does not have.
        """
        raise NotImplementedError

    def inside(self, student: Records, samples: list) -> Tensor:
        maps = student.pyramid(self.tap, 0)
        height, width = torch.tensor([sample.img_shape[:2] for sample in samples], device=maps[0].device).t()
        cells = []
        for level, stride in zip(maps, self.level_strides[0]):
            row, column = (torch.arange(side, device=level.device) * stride for side in level.shape[2:])
            inside = (row < height[:, None])[:, :, None] & (column < width[:, None])[:, None, :]
            cells.append(inside[..., None].expand(-1, -1, -1, level.shape[1] // self.head.cls_out_channels).reshape(-1))
        return torch.cat(cells)

    def teacher_rows(self, maps: Pyramid, student: Pyramid, width: int) -> Tensor:
        """Rows of the teacher in the student's order."""
        levels = [maps[self.partner[index]] if index in self.partner
                  else own.new_zeros(len(own), maps[0].shape[1], *own.shape[2:]) for index, own in enumerate(student)]
        return rows(levels, width)

    def paired(self, maps: Pyramid, weights: Tensor) -> Tensor:
        """Weights ``(M,)`` with those of levels without a partner set to 0."""
        if len(self.partner) == len(maps):
            return weights
        sizes = [weights.numel() * level[0, 0].numel() // sum(m[0, 0].numel() for m in maps) for level in maps]
        return torch.cat([part * (index in self.partner) for index, part in enumerate(weights.split(sizes))])

    def priors(self, maps: Pyramid) -> Tensor:
        """Anchors ``(M, 4)`` or points ``(M, 2)`` of every row in input pixels."""
        sizes = [tuple(level.shape[2:]) for level in maps]
        key = (*sizes, len(maps[0]), maps[0].device)
        if key not in self._priors:
            if len(self._priors) >= KEPT_SIZES:
                self._priors.clear()
            levels = self.head.prior_generator.grid_priors(sizes, device=maps[0].device)
            self._priors[key] = torch.cat([get_box_tensor(prior).repeat(len(maps[0]), 1) for prior in levels])
        return self._priors[key]

    def strides(self, maps: Pyramid, of_teacher: bool = False) -> Tensor:
        """Stride ``(M, 1)`` of every row's level in input pixels, or that of the teacher's partner in its input's."""
        strides = self.level_strides[of_teacher]
        values = [strides[self.partner.get(index, 0) if of_teacher else index] for index in range(len(maps))]
        return torch.cat([level.new_full((len(level) * level[0, 0].numel(), 1), stride, dtype=torch.float32)
                          for level, stride in zip(maps, values)])

    def check_anchors(self, own: int, other: int) -> None:
        if not all(self.anchors):
            return
        student, teacher = self.anchors[0][own], self.anchors[1][other]
        if student.shape != teacher.shape or not torch.allclose(student, teacher, atol=1e-4):
            raise ValueError(f'{self.tap}: the anchors of the student on level {own} are {student.tolist()}, those of '
                             f'the teacher on its level {other} {teacher.tolist()} (in strides); a row must mean the '
                             'same box in both')

    def check_rows(self, student: Records, count: int) -> None:
        maps = student.pyramid(self.tap, 0)
        expected = sum(level[student.unlabelled:].numel() for level in maps) // self.head.cls_out_channels
        if count != expected:
            raise ValueError(f'{self.tap} ({type(self.head).__name__}) computed its loss over {count} rows, its maps '
                             f'have {expected}; kddet cannot tell which row is which')


def rows(maps: Any, width: int) -> Tensor:
    """Maps ``(N, A * width, H, W)`` a level -> ``(M, width)``: by level, image, cell, anchor."""
    return torch.cat([level.permute(0, 2, 3, 1).reshape(-1, width) for level in maps])


def _by_anchor(level: Tensor, width: int) -> Tensor:
    """``(N, A * width, H, W)`` -> ``(N, A, width, H * W)``, without a copy but of maps in channels_last."""
    images, channels, height, cells = level.shape
    return level.contiguous().view(images, channels // width, width, height * cells)


def gathered(calls: Any, position: int, name: str, like: Tensor, width: int | None = None) -> Tensor:
    """An argument of calls that are made for levels with positives only, in the order of the positives."""
    shape = (-1,) if width is None else (-1, width)
    values = [argument(call, position, name).reshape(shape) for call in calls]
    return torch.cat(values) if values else like.new_zeros((0,) if width is None else (0, width), dtype=torch.float32)


def _anchors_in_strides(head: Any) -> list[Tensor]:
    """Base anchors ``(A, 4)`` of each level, divided by its stride; empty for heads of points."""
    generator = head.prior_generator
    anchors = getattr(generator, 'base_anchors', None) or ()
    return [get_box_tensor(base).cpu() / stride for base, stride in zip(anchors, _strides(head))]


def _strides(head: Any) -> list[float]:
    return [stride[0] if isinstance(stride, (tuple, list)) else stride for stride in head.prior_generator.strides]


def _anchors_and_size(level: Tensor, width: int) -> tuple[int, ...]:
    return level.shape[1] // width, *level.shape[2:]


def _labels(target: Any) -> Tensor:
    return target[0] if isinstance(target, (tuple, list)) else target  # quality focal loss takes (labels, scores)


def _shapes(maps: Pyramid) -> str:
    return ', '.join(str(tuple(level.shape[1:])) for level in maps)
