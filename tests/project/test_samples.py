"""One sample is looked at, and nothing of the run is changed by it."""
import copy

import numpy as np
import pytest
import torch
from mmengine.dataset import RepeatDataset, pseudo_collate
from mmengine.registry import DATASETS
from torch.utils.data import DataLoader

from kddet.project.samples import check_samples

LOADED, BOXED, PACKED = (dict(type=kind) for kind in ('LoadImageFromFile', 'LoadAnnotations', 'PackDetInputs'))


def dataset(plain_config, *pipeline, **more):
    return DATASETS.build(dict(copy.deepcopy(plain_config.train_dataloader.dataset), pipeline=[
        dict(transform) for transform in pipeline], **more))


def check(data, boxes=True):
    check_samples(DataLoader(data, collate_fn=pseudo_collate), 'train_dataloader', boxes)


def test_what_a_sample_lacks_is_said(plain_config):
    check(dataset(plain_config, LOADED, BOXED, PACKED))
    with pytest.raises(ValueError, match='a sample of train_dataloader is not packed, it has the keys img_path, '):
        check(RepeatDataset(dataset(plain_config, LOADED, BOXED), 2), boxes=False)
    unboxed = dataset(plain_config, LOADED, PACKED)
    check(unboxed, boxes=False)
    with pytest.raises(ValueError, match='has no boxes to train on; its pipeline needs'):
        check(unboxed)


def test_data_without_a_box_is_refused(plain_config):
    empty = dataset(plain_config, LOADED, BOXED, PACKED)
    full = copy.deepcopy(empty)
    empty.get_data_info = lambda index: dict(instances=[dict(ignore_flag=1)])
    check(torch.utils.data.ConcatDataset([empty, full]))
    with pytest.raises(ValueError, match='no picture of train_dataloader has a box'):
        check(torch.utils.data.ConcatDataset([empty]))


def test_pictures_without_labels_need_no_boxes(plain_config):
    check(dataset(plain_config, LOADED, BOXED, PACKED, type='kddet.UnlabelledDataset', use_hard_loss=False))


def test_pictures_that_cannot_be_drawn_are_left_to_the_run(plain_config):
    check(dataset(plain_config, LOADED, BOXED, dict(type='Resize', scale=(0, 0)), PACKED))


def test_the_data_set_and_random_numbers_stay_what_they_are(plain_config):
    data = DATASETS.build(dict(type='MultiImageMixDataset', dataset=dict(
        copy.deepcopy(plain_config.train_dataloader.dataset), pipeline=[LOADED, BOXED]), pipeline=[
            dict(type='CachedMosaic', img_scale=(64, 64)), PACKED]))
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    check(data)
    assert data.pipeline[0].results_cache == []
    assert (np.random.get_state()[1] == before[0]).all() and torch.equal(torch.get_rng_state(), before[1])
