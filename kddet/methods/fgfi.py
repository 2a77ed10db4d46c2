"""Fine-grained feature imitation: features near objects, through an adaptation layer."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.structures.bbox import get_box_tensor
from mmdet.utils import reduce_mean
from mmengine.logging import MessageHub
from mmengine.model import ModuleList
from torch import Tensor, nn

from kddet.adapters import Adapter, build_adapter
from kddet.heads.priors import LevelPriors
from kddet.levels import describe_levels, pair_levels, unequal_strides
from kddet.losses import imitation_loss
from kddet.masks import SCOPES, AnchorSides, Masks, anchor_sides, near_objects
from kddet.recording.recorder import Records
from kddet.registry import MODELS

from .base import DistillMethod


@MODELS.register_module()
class FineGrainedImitation(DistillMethod):
    r"""Imitate the teacher's features where the student's anchors fit an object nearly as well as the best does.

    Wang et al., *Distilling Object Detectors with Fine-grained Feature Imitation*, CVPR 2019 (arXiv:1906.03609). The
    paper and its code have one level, the input of the RPN of a VGG; the authors' advice for a pyramid, in their
    issues, is its outputs, each with the objects of its level, which ``scope='global'`` gives without a rule of
    assignment. The authors' adapter ends with a ReLU, because their teacher's feature does; a pyramid is signed, so
    the default has none (``adapter=dict(kernel_size=3, relu=True)`` is theirs).

    Anchors are those of the student's dense head or RPN, all of them. Heads of points (FCOS) get one square of
    ``anchor_scale`` strides a point, which is the anchor that GFL and ATSS have.

    Args:
        tap: dotted name of the submodule to compare.
        teacher_tap: its name in the teacher, where it differs.
        levels: indices into the student's pyramid; None takes every level that the teacher has at the same stride.
        threshold_factor: :math:`\psi`.
        scope: ``'global'`` takes the best anchor of all the levels compared, ``'level'`` that of each.
        legacy: the authors' overlap, which counts a box's last pixel.
        anchor_scale: side of the square of a point, in strides.
        adapter: keyword arguments of :class:`kddet.Adapter`, or a config with a ``type``; None compares as it is.
        warmup: iterations over which the term rises from 0 to its weight; the authors leave it out for 400. Read
            from MMEngine's message hub, so that resuming needs nothing; without a Runner there is no warm-up. It counts
            from the start of training; a term that :class:`kddet.LossWeightHook` starts later takes the hook's ramp.
        loss_weight: the authors' 0.01, for 512 channels of a VGG; the loss is a sum over channels.
    """

    def __init__(self, tap: str = 'neck', teacher_tap: str | None = None, levels: Sequence[int] | None = None,
                 threshold_factor: float = 0.5, scope: str = 'global', legacy: bool = False, anchor_scale: float = 8,
                 adapter: dict | None = dict(kernel_size=3), warmup: int = 400, loss_weight: float = 0.01) -> None:
        super().__init__(loss_weight)
        if scope not in SCOPES:
            raise ValueError(f'scope is {scope!r}, allowed are {list(SCOPES)}')
        if not 0 <= threshold_factor <= 1:
            raise ValueError(f'threshold_factor is {threshold_factor}, it must be between 0 and 1')
        if warmup < 0 or anchor_scale <= 0:
            raise ValueError(f'warmup is {warmup} and anchor_scale {anchor_scale}; they must be 0 or more, and more '
                             'than 0')
        self.tap, self.teacher_tap = tap, teacher_tap or tap
        self.student_taps, self.teacher_taps = (self.tap,), (self.teacher_tap,)
        self.levels, self.adapter_cfg, self.warmup, self.anchor_scale = levels, adapter, warmup, anchor_scale
        self.threshold_factor, self.scope, self.legacy = threshold_factor, scope, legacy
        self._sides: dict[tuple, list[AnchorSides]] = {}

    def bind(self, student: Any, teacher: Any) -> None:
        self.priors = LevelPriors.of_detector(student, self.anchor_scale)

    def build(self, student: Records, teacher: Records) -> None:
        where = f'imitation of {self.tap!r}'
        student_maps, teacher_maps = student.pyramid(self.tap), teacher.pyramid(self.teacher_tap)
        self.pairs = pair_levels(student_maps, teacher_maps, self.levels, where)
        for own, other in self.pairs:
            if student_maps[own].shape[2:] != teacher_maps[other].shape[2:]:
                raise ValueError(f'{where}: level {own} of the student is {tuple(student_maps[own].shape[2:])}, its '
                                 f"partner {tuple(teacher_maps[other].shape[2:])} (H, W of the probe); a mask needs "
                                 'maps of one size')
        strides = student.strides(self.tap), teacher.strides(self.teacher_tap)
        self.prior_levels = [self.priors.level_of(strides[0][own], where) for own, _ in self.pairs]
        self.adapters = ModuleList(
            build_adapter(self.adapter_cfg, student_maps[s], teacher_maps[t], f'{where}, level {s}')
            for s, t in self.pairs)
        self.compared, self.unpaired = describe_levels((self.tap, self.teacher_tap), student_maps, teacher_maps,
                                                       self.pairs, self.adapters, strides)
        self.unequal = unequal_strides(strides, self.pairs)

    def forward(self, student: Records, teacher: Records, samples: list) -> dict[str, Tensor]:
        student_maps, teacher_maps = student.pyramid(self.tap), teacher.pyramid(self.teacher_tap)
        masks = self.masks([student_maps[own] for own, _ in self.pairs], samples)
        cells = reduce_mean(sum(mask.sum() for mask in masks).float())  # type: ignore[union-attr]
        levels = [_near(adapter, student_maps[s], teacher_maps[t], mask)
                  for adapter, (s, t), mask in zip(self.adapters, self.pairs, masks)]
        loss = imitation_loss(*zip(*levels), avg_factor=cells.clamp(min=1))
        return dict(loss=self._warm() * loss, cells=cells / len(samples))

    def matched(self, student: Records, teacher: Records) -> list[tuple[Tensor, Tensor]]:
        """The adapted student and the teacher, level by level, in one shape."""
        student_maps, teacher_maps = student.pyramid(self.tap), teacher.pyramid(self.teacher_tap)
        return [(adapter(student_maps[s]), teacher_maps[t]) for adapter, (s, t) in zip(self.adapters, self.pairs)]

    @property
    def risen(self) -> float:
        return super().risen * self._warm()

    @torch.no_grad()
    def masks(self, maps: Sequence[Tensor], samples: list) -> Masks:
        """Masks ``(N, H, W)`` of the levels compared.

        Args:
            maps: ``(N, C, H, W)`` of each, for their size.
            samples: boxes of ``gt_instances`` in input pixels; ``ignored_instances`` do not count.
        """
        sizes = [(level.shape[2], level.shape[3]) for level in maps]
        key = (*sizes, maps[0].device)
        if key not in self._sides:
            if len(self._sides) > 64:  # data sets of many sizes
                self._sides.clear()
            self._sides[key] = [anchor_sides(self.priors.anchors(index, size, maps[0].device), size)
                                for index, size in zip(self.prior_levels, sizes)]
        boxes = [get_box_tensor(sample.gt_instances.bboxes) for sample in samples]
        return near_objects(self._sides[key], sizes, boxes, threshold_factor=self.threshold_factor, scope=self.scope,
                            legacy=self.legacy)

    def _warm(self) -> float:
        iteration = MessageHub.get_current_instance().get_info('iter') if self.warmup else None
        return 1.0 if iteration is None else min(1.0, iteration / self.warmup)


def _near(adapter: nn.Module, student: Tensor, teacher: Tensor,
          mask: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    """Adapted student, teacher and mask of a level; of its masked cells alone where that saves a convolution.

    On a GPU the whole map is adapted: the count of cells would have to be waited for, and the convolution is cheap.
    """
    if student.device.type != 'cpu' or type(adapter) is not Adapter or 2 * mask.sum() > mask.numel():
        return adapter(student), teacher, mask
    rows = adapter.at(student, mask), teacher.permute(0, 2, 3, 1)[mask]
    return rows[0][..., None, None], rows[1][..., None, None], None
