"""A forward of a detector without boxes, as deep as it is asked for."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from kddet.teachers.external.detector import ExternalDetector

from .recorder import Pyramid
from .rois import ROI_HEAD
from .strides import DENSE_HEADS
from .taps import module_of


def forward_to(detector: Any, inputs: Tensor, taps: Iterable[str]) -> Pyramid | None:
    """Forward ``(N, 3, H, W)`` through backbone, neck and dense heads, no further than some tap lies.

    Returns:
        The features that the heads read, where it came that far; a RoI head runs on them with :func:`forward_rois`.
    """
    roots = {module_of(tap).partition('.')[0] for tap in taps}
    if not roots:
        return None
    if isinstance(detector, ExternalDetector):
        detector(inputs)
        return None
    if roots == {'backbone'}:
        detector.backbone(inputs)
        return None
    features = detector.extract_feat(inputs)
    for head in roots.intersection(DENSE_HEADS):
        getattr(detector, head)(features)
    beyond = roots.difference(DENSE_HEADS, ('backbone', 'neck', ROI_HEAD))
    if beyond:
        raise ValueError(f'taps below {sorted(beyond)} are not reached by a forward of {type(detector).__name__} '
                         f'without boxes; it can be tapped in backbone, neck, {", ".join(DENSE_HEADS)} and {ROI_HEAD}')
    return features
