"""Turn a plain detector's config into a distillation config, with nothing of it restated."""
from __future__ import annotations

from mmengine.config import Config, ConfigDict


def distillation_config(student: Config, *, teacher: dict | None, methods: dict) -> Config:
    """The student's own config with a Distiller around its model.

    Args:
        student: config of a plain MMDet detector, left as it is.
        teacher: keyword arguments of :class:`kddet.FrozenTeacher`.
        methods: ``{name: config of a DistillMethod}``.
    """
    cfg = student.copy()
    model = dict(type='kddet.Distiller', student=student.model, methods=methods)
    if teacher:
        model['teacher'] = teacher
    cfg.model = ConfigDict(model)
    return cfg
