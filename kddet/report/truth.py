"""The validation data of a run: its pictures, classes, and the objects to find, in COCO's form."""
from __future__ import annotations

import contextlib
import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.fileio import get_local_path
from mmengine.registry import DATASETS, DefaultScope
from pycocotools.coco import COCO


@dataclass(frozen=True)
class Truth:
    """``classes`` are in the order of labels, ``files`` the pictures by their id; objects of others do not count."""
    objects: COCO
    classes: tuple[str, ...]
    files: dict[Any, str]

    def counts(self) -> Counter[str]:
        """Objects of each class that are to be found."""
        names = {category['id']: category['name'] for category in self.objects.dataset['categories']}
        return Counter(names[each['category_id']] for each in self.objects.dataset['annotations']
                       if each['image_id'] in self.files and not each.get('iscrowd'))


def read_truth(cfg: Config) -> Truth:
    """The objects of the file that a CocoMetric compares with, else those that the data set itself gives.

    Raises:
        ValueError: no validation data in the config, or no classes in the data.
        FileNotFoundError: files of it are not there.
    """
    if not cfg.get('val_dataloader'):
        raise ValueError('the config has no val_dataloader, there is nothing to compare on')
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmdet')), \
            contextlib.redirect_stdout(io.StringIO()):
        dataset = DATASETS.build(cfg.val_dataloader.dataset)
        dataset.full_init()
        infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    classes = tuple((dataset.metainfo or {}).get('classes') or ())
    if not classes:
        raise ValueError('the validation data set has no classes in its metainfo')
    files = {info['img_id']: info['img_path'] for info in infos}
    file = _annotation_file(cfg.get('val_evaluator'))
    if file is None:
        return Truth(_convert(infos, classes), classes, files)
    objects = _read(file)  # whose order of categories is that of the host's labels
    named = objects.loadCats(objects.getCatIds(catNms=list(classes)))
    return Truth(objects, tuple(category['name'] for category in named), files)


def _annotation_file(evaluator: Any) -> str | None:
    metrics = evaluator if isinstance(evaluator, (list, tuple)) else [evaluator or {}]
    return next((metric['ann_file'] for metric in metrics
                 if str(metric.get('type')).endswith('CocoMetric') and metric.get('ann_file')), None)


def _read(file: str) -> COCO:
    with get_local_path(file) as local, contextlib.redirect_stdout(io.StringIO()):
        if not Path(local).is_file():
            raise FileNotFoundError(f'the annotations {file!r} are not there (working directory: {Path.cwd()}); '
                                    'start the report where the training was started')
        return COCO(local)


def _convert(infos: list[dict], classes: tuple[str, ...]) -> COCO:
    """Boxes as data sets of MMDet hold them: corners in pixels of the picture on disk."""
    truth = COCO()
    annotations: list[dict] = []
    for info in infos:
        for instance in info.get('instances') or ():
            left, top, right, bottom = map(float, instance['bbox'])
            ignored = int(instance.get('ignore_flag', 0))
            annotations.append(dict(
                id=len(annotations) + 1, image_id=info['img_id'], category_id=int(instance['bbox_label']),
                bbox=[left, top, right - left, bottom - top], area=(right - left) * (bottom - top),
                iscrowd=ignored, ignore=ignored))
    truth.dataset = dict(
        images=[dict(id=info['img_id']) for info in infos], annotations=annotations,
        categories=[dict(id=index, name=name) for index, name in enumerate(classes)])
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
    return truth
