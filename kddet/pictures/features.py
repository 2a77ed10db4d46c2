"""What methods that compare features compare: the teacher's maps and the student's, adapted to them."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from kddet.recording.forward import forward_to
from kddet.recording.recorder import Recorder
from kddet.recording.rois import roi_taps


def feature_methods(methods: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a Distiller's methods that compare maps of features, by name; parts of a recipe as ``name.part``."""
    found: dict[str, Any] = {}
    for name, method in methods.items():
        inside = {f'{name}.{part}': module for part, module in getattr(method, 'parts', {}).items()}
        found |= {key: module for key, module in {name: method, **inside}.items()
                  if hasattr(module, 'matched') and not roi_taps(module.student_taps)}
    return found


@torch.no_grad()
def compared_features(model: Any, name: str, inputs: Tensor, samples: list) -> list[tuple[Tensor, Tensor]]:
    """The adapted student and the teacher of a method, ``(N, C, H, W)`` each, level by level.

    Args:
        model: the Distiller in ``eval()``.
        name: of one of :func:`feature_methods`.
        inputs: ``(N, 3, H, W)`` as the student's data preprocessor gives it.
        samples: of the batch.
    """
    method = feature_methods(model.methods)[name]
    teacher = model.teacher_of(name.partition('.')[0]).record(inputs, samples, method.teacher_taps)
    with Recorder(model.student, method.student_taps, 'student') as student:
        forward_to(model.student, inputs, student)
    return method.matched(student, teacher)
