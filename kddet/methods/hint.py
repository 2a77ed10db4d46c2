"""Hint learning: whole feature maps of the student against the teacher's."""
from __future__ import annotations

from collections.abc import Sequence

from mmengine.model import ModuleList
from torch import Tensor
from torch.nn import functional as F

from kddet.adapters import build_adapter
from kddet.levels import describe_levels, pair_levels, unequal_strides
from kddet.recording.recorder import Records
from kddet.recording.rois import roi_taps
from kddet.registry import MODELS

from .base import DistillMethod


@MODELS.register_module()
class HintLearning(DistillMethod):
    r"""Bring features of the student to the teacher's width and compare them element by element.

    Chen et al., *Learning Efficient Object Detection Models with Knowledge Distillation*, NIPS 2017, Sec. 3.4. The
    paper hints one layer that it does not name, with :math:`\gamma = 0.5`; the default here is the neck's pyramid,
    the mean of its levels. The paper's "padding trick" for maps of different size is not described; ``'pad'`` is
    our reading of it.

    Args:
        tap: dotted name of the submodule to compare; a pyramid, one map, or vectors ``(R, C)``.
        teacher_tap: its name in the teacher, where it differs.
        levels: indices into the student's pyramid; None takes every level that the teacher has at the same stride.
        adapter: keyword arguments of :class:`kddet.Adapter`, or a config with a ``type``; None compares as it is.
        loss: config of the loss of two equal shapes.
        resize: what to do where spatial sizes differ: ``'interpolate'`` the adapted student bilinearly to the
            teacher's size, or ``'pad'`` the smaller map with zeros at the right and the bottom.
        loss_weight: the paper's :math:`\gamma`.
    """

    reads_labels = False

    def __init__(self, tap: str = 'neck', teacher_tap: str | None = None, levels: Sequence[int] | None = None,
                 adapter: dict | None = dict(kernel_size=1), loss: dict = dict(type='kddet.HintLoss', norm='l2'),
                 resize: str = 'interpolate', loss_weight: float = 0.5) -> None:
        super().__init__(loss_weight)
        if resize not in RESIZE:
            raise ValueError(f'resize is {resize!r}, allowed are {sorted(RESIZE)}')
        self.tap, self.teacher_tap = tap, teacher_tap or tap
        self.student_taps, self.teacher_taps = (self.tap,), (self.teacher_tap,)
        self.levels, self.adapter_cfg, self.resize = levels, adapter, resize
        self.loss = MODELS.build(loss)

    def build(self, student: Records, teacher: Records) -> None:
        where = f'hint on {self.tap!r}'
        student_maps, teacher_maps = student.pyramid(self.tap), teacher.pyramid(self.teacher_tap)
        self.pairs = pair_levels(student_maps, teacher_maps, self.levels, where)
        self.adapters = ModuleList(
            build_adapter(self.adapter_cfg, student_maps[s], teacher_maps[t], f'{where}, level {s}')
            for s, t in self.pairs)
        strides = student.strides(self.tap), teacher.strides(self.teacher_tap)
        self.unequal = unequal_strides(strides, self.pairs)
        self.compared, self.unpaired = describe_levels((self.tap, self.teacher_tap), student_maps, teacher_maps,
                                                       self.pairs, self.adapters, strides)

    def forward(self, student: Records, teacher: Records, samples: list) -> dict[str, Tensor]:
        if not student[self.tap] and roi_taps([self.tap]):  # a batch without proposals ends a cascade early
            zero = self.untouched()
            return dict(loss=samples[0].gt_instances.bboxes.new_zeros(()) if zero is None else zero)
        losses = [self.loss(*pair) for pair in self.matched(student, teacher)]
        return dict(loss=sum(losses) / len(losses))

    def matched(self, student: Records, teacher: Records) -> list[tuple[Tensor, Tensor]]:
        """The adapted student and the teacher, level by level, in one shape."""
        student_maps, teacher_maps = student.pyramid(self.tap), teacher.pyramid(self.teacher_tap)
        return [RESIZE[self.resize](adapter(student_maps[s]), teacher_maps[t])
                for adapter, (s, t) in zip(self.adapters, self.pairs)]


def _interpolate(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    size = teacher.shape[2:]
    if student.shape[2:] != size:
        student = F.interpolate(student, size=size, mode='bilinear', align_corners=False)
    return student, teacher


def _pad(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    if student.shape[2:] == teacher.shape[2:]:
        return student, teacher
    height, width = (max(sizes) for sizes in zip(student.shape[2:], teacher.shape[2:]))
    return tuple(F.pad(feature, (0, width - feature.shape[3], 0, height - feature.shape[2]))
                 for feature in (student, teacher))  # type: ignore[return-value]


RESIZE = dict(interpolate=_interpolate, pad=_pad)
