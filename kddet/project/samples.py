"""Whether a data set gives what a detector of MMDet trains on: a sample is drawn, and a box is looked for."""
from __future__ import annotations

import copy
from typing import Any

import numpy as np
from mmdet.datasets import CocoDataset
from mmdet.structures import DetDataSample
from torch.utils.data import DataLoader, IterableDataset

from kddet.student_wrapper import random_state_kept

from .data import annotation_problem, data_leaves

USE_HARD_LOSS = 'use_hard_loss'  # as kddet.unlabelled has it: such pictures need no boxes


def check_samples(loader: Any, where: str, boxes: bool = True) -> None:
    """Before the first batch: see that samples are packed, and that the data to train on has boxes.

    The data set and the random numbers are left as they were.

    Args:
        loader: that MMEngine built.
        where: the setting it was built from.
        boxes: the data is to train on.

    Raises:
        ValueError: says what a sample lacks, and which transform gives it.
    """
    if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset):
        return
    sample = _drawn(loader.dataset)
    if isinstance(sample, dict) and isinstance(sample.get('img'), np.ndarray):
        raise ValueError(f'a sample of {where} is not packed, it has the keys {", ".join(map(str, sample))}; the last '
                         "transform of its pipeline must be dict(type='PackDetInputs')")
    if not boxes:
        return
    data = sample.get('data_samples') if isinstance(sample, dict) else None
    if isinstance(data, DetDataSample) and data.get(USE_HARD_LOSS, True) and 'bboxes' not in data.get(
            'gt_instances', {}):
        raise ValueError(f'a sample of {where} has no boxes to train on; its pipeline needs '
                         "dict(type='LoadAnnotations', with_bbox=True) behind the transform that loads the picture")
    _check_boxes(loader.dataset, where)


def _drawn(dataset: Any) -> Any:
    """The first sample; None where it cannot be drawn, which the run says better."""
    try:
        with random_state_kept():
            return _apart(dataset)[0]
    except Exception:  # pictures, transforms and data sets of the user's own fail in any way
        return None


def _apart(dataset: Any) -> Any:
    """The same data with transforms of its own: some keep pictures, or count."""
    other = copy.copy(dataset)
    if hasattr(other, 'pipeline'):
        other.pipeline = copy.deepcopy(other.pipeline)
    if hasattr(other, 'datasets'):
        other.datasets = [_apart(own) for own in other.datasets]
    elif hasattr(other, 'dataset'):
        other.dataset = _apart(other.dataset)
    return other


def _check_boxes(dataset: Any, where: str) -> None:
    labelled = [leaf for leaf in data_leaves(dataset) if getattr(leaf, USE_HARD_LOSS, True)]
    if not labelled or any(map(_has_boxes, labelled)):
        return
    problems = (annotation_problem({key: getattr(leaf, key, None) for key in ('ann_file', 'metainfo')})
                for leaf in labelled if isinstance(leaf, CocoDataset))
    raise ValueError(next(filter(None, problems), f'no picture of {where} has a box, there is nothing to train on; '
                          'look at its ann_file and at the classes of its metainfo'))


def _has_boxes(leaf: Any) -> bool:
    """Whether some picture has one, or none can tell."""
    if not hasattr(leaf, 'get_data_info'):
        return True
    for index in range(len(leaf)):
        found = leaf.get_data_info(index).get('instances')
        if found is None or any(not box.get('ignore_flag') for box in found):
            return True
    return False
