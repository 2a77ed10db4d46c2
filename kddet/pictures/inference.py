"""A plain detector with its weights, and what it finds on pictures."""
from __future__ import annotations

from typing import Any

import torch
from mmcv.transforms import Compose
from mmdet.apis import inference_detector
from mmdet.utils import get_test_pipeline_cfg
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData

from kddet.checkpoint import load_checkpoint, load_weights, student_weights
from kddet.project.classes import checkpoint_classes, config_classes, measured_classes
from kddet.project.config import build_detector, student_config
from kddet.teachers.accuracy import teacher_step


class TrainedDetector:
    """The plain detector of a config, of a distillation config the student, on a GPU if there is one.

    Args:
        cfg: of the detector.
        checkpoint: path or URL of its weights.
        pipeline_of: config whose test pipeline is taken where ``cfg`` has none.
        trust: let the checkpoint unpickle arbitrary objects.

    Raises:
        ValueError: the checkpoint does not cover the detector, or there is no test pipeline.
        FileNotFoundError: there is no such checkpoint.
    """

    def __init__(self, cfg: Config, checkpoint: str, pipeline_of: Config | None = None, trust: bool = False) -> None:
        plain = student_config(cfg)
        self.scope = plain.get('default_scope', 'mmdet')
        loaded = load_checkpoint(checkpoint, trust=trust)
        self.detector: Any = revert_sync_batchnorm(build_detector(plain)).eval()
        load_weights(self.detector, student_weights(loaded), name=checkpoint)
        self.detector.to('cuda' if torch.cuda.is_available() else 'cpu')
        self.classes = checkpoint_classes(loaded) or config_classes(plain)
        source = next((own for own in (plain, pipeline_of) if own is not None and 'test_dataloader' in own), None)
        if source is None:
            raise ValueError(f'the config of {checkpoint} has no test_dataloader, whose pipeline loads pictures')
        self.detector.cfg = source

    def find(self, path: str, score_thr: float = 0.3) -> InstanceData:
        """Detections with a score of at least ``score_thr`` in pixels of the picture, on the CPU."""
        with DefaultScope.overwrite_default_scope(self.scope):
            pipeline = Compose(get_test_pipeline_cfg(self.detector.cfg.copy()))
            found = inference_detector(self.detector, path, pipeline).pred_instances.cpu()
        return found[found.scores >= score_thr]


class TaughtDetector:
    """An external teacher of a distillation config, on the student's input, with the student's classes.

    Args:
        cfg: the distillation config.
        name: of the teacher, where there are several.

    Raises:
        ValueError: it cannot be loaded, or has no class of the student's.
        NoDetections: it gives maps that the student's head cannot decode.
    """

    def __init__(self, cfg: Config, name: str) -> None:
        self.step = teacher_step(cfg, name)
        plain = student_config(cfg)
        self.scope, self.classes = plain.get('default_scope', 'mmdet'), config_classes(plain)
        self.pipeline = get_test_pipeline_cfg(plain)

    @torch.no_grad()
    def find(self, path: str, score_thr: float = 0.3) -> InstanceData:
        """As :meth:`TrainedDetector.find`."""
        with DefaultScope.overwrite_default_scope(self.scope):
            sample = Compose(self.pipeline)(dict(img_path=path, img_id=0))
        found = self.step(pseudo_collate([sample]))[0].pred_instances.cpu()
        return found[found.scores >= score_thr]


def names_as_taught(cfg: Config, teacher: str, classes: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """The student's names in place of those that a teacher has for the same classes."""
    students = config_classes(cfg)
    try:
        pairs = measured_classes(cfg, teacher)
    except ValueError:  # no class in common
        pairs = None
    if not pairs or students is None or classes is None:
        return classes
    partners = {other: students[own] for own, other in pairs}
    return tuple(partners.get(index, name) for index, name in enumerate(classes))
