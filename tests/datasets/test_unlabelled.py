import json

import pytest
import torch
from mmengine.registry import DATASETS
from mmengine.runner import Runner

from kddet.datasets import make_digits
from kddet.datasets.digits import CLASSES

PIPELINE = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True), dict(type='PackDetInputs')]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('digits')
    make_digits(folder, train=6, val=2, size=64)
    truth = json.loads((folder / 'instances_train.json').read_text())
    first = truth['images'][0]['id']
    pseudo = dict(truth, info=dict(checkpoint_sha256='abc', score_thr=0.4), annotations=[
        dict(box, score=0.5, bbox=[1, 2, 20, 20]) for box in truth['annotations'] if box['image_id'] != first])
    (folder / 'pseudo.json').write_text(json.dumps(pseudo))
    (folder / 'poisoned.json').write_text(json.dumps(dict(pseudo, annotations=truth['annotations'])))
    return folder


def dataset(folder, ann_file, classes=CLASSES, **options):
    return DATASETS.build(dict(
        type='kddet.UnlabelledDataset', data_root=str(folder), ann_file=ann_file, data_prefix=dict(img='train/'),
        metainfo=dict(classes=classes), pipeline=PIPELINE, **options))


def test_boxes_are_the_pseudo_labels(folder):
    samples = [data['data_samples'] for data in dataset(folder, 'pseudo.json')]
    assert len(samples) == 6 and len(samples[0].gt_instances) == 0
    boxes = torch.cat([sample.gt_instances.bboxes.tensor for sample in samples])
    assert len(boxes) and (boxes == torch.tensor([1., 2, 21, 22])).all()
    assert len(dataset(folder, 'pseudo.json', filter_cfg=dict(filter_empty_gt=True))) == 5


@pytest.mark.parametrize('ann_file', ['instances_train.json', 'poisoned.json'])
def test_ground_truth_is_never_used(folder, ann_file):
    with pytest.raises(ValueError, match='does not hold pseudo labels .* ground truth of unlabelled pictures'):
        dataset(folder, ann_file)
    soft = dataset(folder, ann_file, use_hard_loss=False, filter_cfg=dict(filter_empty_gt=True, min_size=8))
    samples = [data['data_samples'] for data in soft]
    assert len(samples) == 6 and not any(len(sample.gt_instances) for sample in samples)
    assert all(sample.use_hard_loss is False for sample in samples)


def test_refuses_other_classes(folder):
    with pytest.raises(ValueError, match='the classes cat of the data set are not among those of .*zero, one'):
        dataset(folder, 'pseudo.json', ('one', 'cat'))


def test_batches_are_mixed_by_mmdets_sampler(folder):
    labelled = dict(type='CocoDataset', data_root=str(folder), ann_file='instances_train.json', indices=2,
                    data_prefix=dict(img='train/'), metainfo=dict(classes=CLASSES), pipeline=PIPELINE)
    unlabelled = dict(labelled, type='kddet.UnlabelledDataset', ann_file='pseudo.json', use_hard_loss=False, indices=6)
    loader = Runner.build_dataloader(dict(
        batch_size=4, num_workers=0, sampler=dict(type='MultiSourceSampler', batch_size=4, source_ratio=[1, 3]),
        dataset=dict(type='ConcatDataset', datasets=[labelled, unlabelled])), seed=0)
    for _, data in zip(range(3), loader):
        assert [sample.metainfo.get('use_hard_loss', True) for sample in data['data_samples']] == [True] + 3 * [False]
        assert [len(sample.gt_instances) > 0 for sample in data['data_samples']] == [True] + 3 * [False]
