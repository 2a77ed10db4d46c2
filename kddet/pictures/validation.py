"""Pictures of a config's validation data: files with their ground truth, or a batch as the network gets it."""
from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.structures import InstanceData

from kddet.project.config import type_name
from kddet.project.evaluation import quiet_host


class Picture(NamedTuple):
    """A file and what is on it: ``bboxes`` ``(G, 4)`` in its pixels, ``labels``, and ``ignored`` of those that do not
    count; None where that is not known."""
    path: str
    truth: InstanceData | None


def validation_pictures(cfg: Config, number: int) -> list[Picture]:
    """The first pictures of the validation data.

    Raises:
        ValueError: the config has none.
    """
    dataset = validation_data(cfg)
    return [_picture(dataset.get_data_info(index)) for index in range(min(number, len(dataset)))]


def given_pictures(cfg: Config, paths: Sequence[str]) -> list[Picture]:
    """Pictures by their files; those of the validation data have their ground truth.

    Raises:
        FileNotFoundError: names the files that do not exist.
    """
    if missing := [path for path in paths if not os.path.isfile(path)]:
        raise FileNotFoundError(f'image {", ".join(missing)} does not exist (working directory: {os.getcwd()})')
    try:
        dataset = validation_data(cfg)
    except (FileNotFoundError, ValueError):  # pictures from anywhere need no data set
        return [Picture(path, None) for path in paths]
    known = {os.path.realpath(info['img_path']): info
             for info in (dataset.get_data_info(index) for index in range(len(dataset)))}
    return [Picture(path, _picture(known[real]).truth if (real := os.path.realpath(path)) in known else None)
            for path in paths]


def validation_data(cfg: Config) -> Any:
    """The data set of the validation, or of the test where there is none."""
    loader = cfg.get('val_dataloader') or cfg.get('test_dataloader')
    if not loader:
        raise ValueError('the config has neither a val_dataloader nor a test_dataloader, so there are no pictures to '
                         'take; give files')
    with quiet_host():  # pycocotools prints
        return DATASETS.build(loader['dataset'])


def first_batch(cfg: Config, detector: Any, number: int) -> dict:
    """Validation pictures as the network gets them, padded as in training, with their boxes.

    Raises:
        ValueError: the config has none.
    """
    if not cfg.get('val_dataloader'):
        raise ValueError('the config has no val_dataloader, whose pictures are drawn; give a config with validation '
                         'data')
    loader = dict(cfg.val_dataloader, batch_size=number, num_workers=0, persistent_workers=False)
    _annotate_first(loader['dataset'])
    with quiet_host():
        batches = Runner.build_dataloader(loader)
    return detector.data_preprocessor(next(iter(batches)), True)


def _annotate_first(dataset: dict) -> None:
    """Boxes in pixels of the network's input: validation pipelines load them after resizing, for the evaluator."""
    while 'pipeline' not in dataset:
        dataset = dataset['dataset']
    steps = list(dataset['pipeline'])
    loads = [type_name(step['type']).rpartition('.')[2] == 'LoadAnnotations' for step in steps]
    annotations = [step for step, own in zip(steps, loads) if own]
    rest = [step for step, own in zip(steps, loads) if not own]
    dataset['pipeline'] = [rest[0], *(annotations or [dict(type='LoadAnnotations', with_bbox=True)]), *rest[1:]]


def _picture(info: dict) -> Picture:
    objects = info.get('instances', ())
    return Picture(info['img_path'], InstanceData(
        bboxes=np.array([item['bbox'] for item in objects], dtype=np.float32).reshape(-1, 4),
        labels=np.array([item['bbox_label'] for item in objects], dtype=int),
        ignored=np.array([bool(item.get('ignore_flag')) for item in objects], dtype=bool)))
