"""How accurate a detector is on the validation data of a config, measured as the host's own validation does."""
from __future__ import annotations

import contextlib
import io
import logging
import math
import numbers
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.evaluator import DumpResults, Evaluator
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS, EVALUATOR, DefaultScope
from mmengine.runner import Runner
from torch.utils.data import Subset

from kddet.checkpoint import load_checkpoint, load_weights, student_weights
from kddet.student_wrapper import random_state_kept

from .config import ConfigLike, build_detector, load_config, student_config

PRECISION = '_precision'  # how CocoMetric ends the AP of a class
MAIN = 'bbox_mAP', 'mAP'  # the figure that stands for a detector: COCO's, or that of other metrics


@dataclass(frozen=True)
class Evaluation:
    """What was measured.

    Attributes:
        metrics: as the Runner's validation names them, ``coco/bbox_mAP`` and the like; empty where a COCO metric saw
            no detection at all.
        classes: AP of each class that the images have an object of, where the metric gives it.
        images: on how many images.
        of: how many the data set has.
        of_classes: which classes were measured, where not all were.
        where: whose images they are.
    """
    metrics: dict[str, float]
    classes: dict[str, float]
    images: int
    of: int
    of_classes: list[str] | None = None
    where: str = 'the validation data'

    @property
    def mean_ap(self) -> float | None:
        """The mAP, 0 to 1: 0 without any detection, None where no metric gives one or the images have no object."""
        if not self.metrics:
            return 0.0
        found = [value for name in MAIN for key, value in self.metrics.items() if key.rpartition('/')[2] == name]
        return found[0] if found and found[0] >= 0 else None


def evaluate(detector: Any, cfg: Config, *, images: int | None = None) -> Evaluation:
    """Run a detector over ``val_dataloader`` of a config and measure its boxes with its ``val_evaluator``.

    Random states and the detector's mode are left as they were. On several processes each takes its share, and all
    get the result.

    Args:
        detector: with MMEngine's ``val_step``, on the device where it is to run; a Distiller stands for its student.
        cfg: whose validation data it is.
        images: how many, evenly chosen; COCO's and LVIS's metrics then count the objects of these alone. None takes
            all, as the Runner does.

    Raises:
        ValueError: the config has no validation data, or none that can be evaluated in part.
    """
    modes = {module: module.training for module in detector.modules()}
    detector.eval()
    try:
        return evaluate_step(detector.val_step, cfg, images=images)
    finally:
        for module, mode in modes.items():
            module.training = mode


def evaluate_checkpoint(config: ConfigLike, checkpoint: str | Path, cfg: Config | None = None, *,
                        images: int | None = None, device: str | None = None) -> Evaluation:
    """Build a detector from its files and evaluate it.

    Args:
        config: of the detector; a distillation config stands for its student.
        checkpoint: its weights; those that the Distiller trained beside it are left out.
        cfg: whose validation data it is, by default the detector's own.
        images: as in :func:`evaluate`.
        device: where to run; by default a GPU if there is one.
    """
    own = student_config(load_config(config))
    with random_state_kept():
        detector = build_detector(own)
    load_weights(detector, student_weights(load_checkpoint(checkpoint)), name=str(checkpoint))
    return evaluate(detector.to(device or get_device()), own if cfg is None else cfg, images=images)


def evaluate_step(step: Callable[[Any], Sequence], cfg: Config, *, images: int | None = None,
                  classes: Sequence[str] | None = None) -> Evaluation:
    """:func:`evaluate` with anything that takes a batch of the dataloader and gives data samples with predictions.

    Args:
        classes: of the predicted labels, where they are some of the data set's: those are measured alone. Needs metrics
            of COCO's kind (:func:`measures_some_classes`).
    """
    if not cfg.get('val_dataloader') or not cfg.get('val_evaluator'):
        raise ValueError('the config has no validation data (val_dataloader and val_evaluator)')
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmdet')), random_state_kept(), quiet_host():
        dataset = _dataset(cfg.val_dataloader.dataset)
        chosen = _evenly(len(dataset), images)
        evaluator = _evaluator(cfg.val_evaluator, in_part=chosen is not None)
        meta = dict(getattr(dataset, 'metainfo', None) or {})
        evaluator.dataset_meta = dict(meta, classes=tuple(classes)) if classes is not None else meta
        if chosen is not None:
            _restrict(evaluator, dataset, chosen)
        loader = Runner.build_dataloader(dict(_plain(cfg.val_dataloader), dataset=dataset if chosen is None else
                                              Subset(dataset, chosen)), seed=0)
        with torch.no_grad():
            for batch in loader:
                evaluator.process(data_samples=step(batch), data_batch=batch)
        found = evaluator.evaluate(len(chosen or dataset))
    by_class, metrics = _by_class(found)
    return Evaluation(metrics, by_class, len(chosen or dataset), len(dataset),
                      None if classes is None else list(classes))


def measures_some_classes(cfg: Config) -> bool:
    """Whether all metrics of a config take a part of the classes: those of COCO's kind with an annotation file."""
    metrics = cfg.get('val_evaluator') or ()
    return all(str(metric.get('type')).rpartition('.')[2] == 'CocoMetric' and metric.get('ann_file')
               for metric in ([metrics] if isinstance(metrics, dict) else metrics))


@contextlib.contextmanager
def quiet_host() -> Iterator[None]:
    """Leave out the tables that the host prints and logs on the way."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(max(level, logging.WARNING))
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)


def _dataset(cfg: Any) -> Any:
    dataset = DATASETS.build(cfg) if isinstance(cfg, dict) else cfg
    if hasattr(dataset, 'full_init'):
        dataset.full_init()
    if not len(dataset):
        raise ValueError('the validation data set is empty; check the ann_file, data_prefix and classes of its config')
    return dataset


def _evenly(total: int, images: int | None) -> list[int] | None:
    if images is None:
        return None
    if images < 1:
        raise ValueError(f'images is {images}, it must be 1 or more')
    count = min(images, total)
    return [index * total // count for index in range(count)]


def _evaluator(cfg: Any, in_part: bool) -> Evaluator:
    """The config's evaluator without what writes files and without masks; with the AP of each class."""
    if isinstance(cfg, dict) and 'metrics' in cfg:
        if in_part:
            raise ValueError(f'a {cfg.get("type", "Evaluator")} goes by the place of each image and cannot be '
                             'evaluated in part')
        evaluator = EVALUATOR.build(dict(dict(type='Evaluator'), **cfg))
    else:
        evaluator = Evaluator(cfg)
    evaluator.metrics = [metric for metric in evaluator.metrics
                         if not isinstance(metric, DumpResults) and not getattr(metric, 'format_only', False)]
    if not evaluator.metrics:
        raise ValueError('the val_evaluator only writes files, it measures nothing')
    for metric in evaluator.metrics:
        for name, value in dict(outfile_prefix=None, classwise=True).items():
            if hasattr(metric, name):
                setattr(metric, name, value)
        if 'bbox' in (getattr(metric, 'metrics', None) or ()):
            metric.metrics = ['bbox']
    return evaluator


def _restrict(evaluator: Evaluator, dataset: Any, chosen: Sequence[int]) -> None:
    """Metrics with an annotation file count every object in it, unless they are told which images were seen."""
    listed = [metric for metric in evaluator.metrics if hasattr(metric, 'img_ids')]
    if listed:
        ids = [dataset.get_data_info(index)['img_id'] for index in chosen]
        for metric in listed:
            metric.img_ids = ids


def _plain(loader: dict) -> dict:
    """Workers must not outlive the evaluation."""
    return {key: value for key, value in loader.items() if key != 'persistent_workers'}


def _by_class(found: dict) -> tuple[dict[str, float], dict[str, float]]:
    values = {key: float(value) for key, value in found.items() if isinstance(value, numbers.Real)}
    classes = {key.rpartition('/')[2].removesuffix(PRECISION): value for key, value in values.items()
               if key.endswith(PRECISION) and not math.isnan(value)}
    return classes, {key: value for key, value in values.items() if not key.endswith(PRECISION)}
