"""Shared proposals: run a detector's RoI head on RoIs that are given, the student's on the teacher above all."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from mmdet.models.roi_heads import CascadeRoIHead, PISARoIHead, StandardRoIHead
from mmdet.models.task_modules.samplers import OHEMSampler, ScoreHLRSampler
from torch import Tensor, nn

from .recorder import Pyramid, Records
from .taps import module_of

ROI_HEAD = 'roi_head'
EXTRACTOR = f'{ROI_HEAD}.bbox_roi_extractor'


def roi_taps(taps: Iterable[str]) -> list[str]:
    """Those that lie in the RoI head."""
    return [tap for tap in taps if module_of(tap).partition('.')[0] == ROI_HEAD]


def extractor_taps(detector: Any) -> list[str]:
    """Taps of the RoI extractors, one a stage; their second input is the RoIs ``(R, 5)``."""
    extractor = detector.roi_head.bbox_roi_extractor
    return [f'{EXTRACTOR}.{stage}' for stage in range(len(extractor))] if _is_cascade(extractor) else [EXTRACTOR]


def check_stages(student: Any, teacher: Any) -> None:
    """Refuse pairs whose RoI heads cannot share RoIs.

    Raises:
        ValueError: one has no RoI head, or another number of stages.
    """
    stages = []
    for detector in (student, teacher):
        head = getattr(detector, ROI_HEAD, None)
        if head is None or not hasattr(head, 'bbox_roi_extractor'):
            raise ValueError(f'student {type(student).__name__}, teacher {type(teacher).__name__}: a tap below '
                             f'{ROI_HEAD!r} runs the teacher on the RoIs of the student, so both must be two-stage '
                             'detectors with a bbox_roi_extractor')
        if type(head)._bbox_forward not in (StandardRoIHead._bbox_forward, CascadeRoIHead._bbox_forward):
            raise ValueError(f'{type(head).__name__} of {type(detector).__name__} scores RoIs with more than an '
                             'extractor and a box head; kddet runs those of StandardRoIHead and CascadeRoIHead')
        stages.append(extractor_taps(detector))
    _check_sampling(student.roi_head)
    if stages[0] != stages[1]:
        raise ValueError(f"the student's RoI head has {len(stages[0])} stages, the teacher's {len(stages[1])}; every "
                         'stage is compared on its own RoIs, so the numbers must agree')


def recorded_rois(records: Records, taps: Sequence[str]) -> list[Tensor]:
    """The RoIs ``(R, 5) as (image, x1, y1, x2, y2)`` of each stage that ran, in input pixels."""
    return [records[tap][0].args[1].detach() for tap in taps if records[tap]]  # a shared mask extractor comes second


def whole_images(detector: Any, inputs: Tensor) -> list[Tensor]:
    """One RoI that covers each image, for every stage: for a probe forward."""
    height, width = inputs.shape[2:]
    rois = torch.tensor([[index, 0, 0, width, height] for index in range(len(inputs))], dtype=inputs.dtype)
    return [rois] * len(extractor_taps(detector))


def scale_rois(rois: Tensor, scale: float) -> Tensor:
    """RoIs ``(R, 5)`` in an image that is ``scale`` times as large."""
    return torch.cat([rois[:, :1], rois[:, 1:] * scale], 1) if scale != 1 else rois


def forward_rois(detector: Any, features: Pyramid, rois: Sequence[Tensor]) -> None:
    """Run extractor and box head of each stage on its RoIs: no assigner, no sampler, no NMS, no refinement."""
    head = detector.roi_head
    stages = (zip(head.bbox_roi_extractor, head.bbox_head) if _is_cascade(head.bbox_roi_extractor)
              else [(head.bbox_roi_extractor, head.bbox_head)])
    for (extractor, bbox_head), own in zip(stages, rois):
        pooled = extractor(features[:extractor.num_inputs], own)
        if head.with_shared_head:
            pooled = head.shared_head(pooled)
        bbox_head(pooled)


def _check_sampling(head: Any) -> None:
    """Samplers that score RoIs run the box head on others first, and PISA weighs the losses anew."""
    samplers = head.bbox_sampler if isinstance(head.bbox_sampler, list) else [head.bbox_sampler]
    scoring = [type(part).__name__ for part in (*samplers, head)
               if isinstance(part, (OHEMSampler, ScoreHLRSampler, PISARoIHead))]
    if scoring:
        raise ValueError(f"the student's {', '.join(scoring)} runs the box head on RoIs that are not sampled in the "
                         'end; kddet reads one run a stage: take another sampler, or compare features of the neck')


def _is_cascade(extractor: nn.Module) -> bool:
    return isinstance(extractor, nn.ModuleList)
