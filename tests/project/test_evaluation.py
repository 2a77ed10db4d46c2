"""Detectors on the validation data of a config."""
import copy
import random

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS
from mmengine.runner import Runner

from kddet.project.evaluation import Evaluation, evaluate, evaluate_checkpoint, evaluate_step


def oracle(cfg, classes=None, images=None, keep=lambda sample: sample):
    """Ground truth as detections: the metric of a detector that is always right."""
    def step(batch):
        for sample in batch['data_samples']:
            truth = sample.gt_instances
            boxes = truth.bboxes.tensor if hasattr(truth.bboxes, 'tensor') else truth.bboxes
            sample.pred_instances = type(truth)(bboxes=boxes, labels=truth.labels, scores=torch.ones(len(truth)))
            keep(sample)
        return batch['data_samples']
    return evaluate_step(step, cfg, classes=classes, images=images)


@pytest.fixture
def detector(plain_config):
    detector = MODELS.build(plain_config.model)
    detector.init_weights()
    return detector


@pytest.mark.slow
def test_whole_data_is_measured_as_the_runner_does(plain_config, tmp_path):
    cfg = copy.deepcopy(plain_config)
    cfg.update(work_dir=str(tmp_path), experiment_name='whole')
    runner = Runner.from_cfg(cfg)
    found = evaluate(runner.model, plain_config)
    assert found.metrics == {key: float(value) for key, value in runner.val().items()}
    assert found.images == found.of == 4


def test_truth_is_one_and_its_half_is_less(plain_config):
    assert oracle(plain_config).mean_ap == pytest.approx(1)
    assert set(oracle(plain_config).classes.values()) == {1.0}

    def drop(sample):
        sample.pred_instances = sample.pred_instances[:1]
    assert oracle(plain_config, keep=drop).mean_ap < 0.9


def test_a_part_is_measured_by_itself(plain_config):
    found = oracle(plain_config, images=2)
    assert found.mean_ap == pytest.approx(1) and (found.images, found.of) == (2, 4)
    assert oracle(plain_config, images=100).images == 4


@pytest.mark.slow
def test_images_are_spread_over_the_data(plain_config):
    seen = []
    oracle(plain_config, images=2, keep=lambda sample: seen.append(sample.img_id))
    every = []
    oracle(plain_config, keep=lambda sample: every.append(sample.img_id))
    assert seen == [every[0], every[2]]


@pytest.mark.slow
def test_no_detection_is_zero(plain_config):
    def drop(sample):
        sample.pred_instances = sample.pred_instances[:0]
    assert oracle(plain_config, keep=drop).mean_ap == 0


def test_figures_that_stand_for_a_detector():
    assert Evaluation({'coco/bbox_mAP': 0.3, 'coco/bbox_mAP_50': 0.5}, {}, 1, 1).mean_ap == 0.3
    assert Evaluation({'pascal_voc/mAP': 0.2, 'pascal_voc/AP50': 0.4}, {}, 1, 1).mean_ap == 0.2
    assert Evaluation({'coco/bbox_mAP': -1.0}, {}, 1, 1).mean_ap is None  # no object on the images
    assert Evaluation({'own/recall': 0.2}, {}, 1, 1).mean_ap is None


def test_nothing_is_left_changed(plain_config, detector):
    detector.train()
    detector.backbone.eval()
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    weights = copy.deepcopy(detector.state_dict())
    evaluate(detector, plain_config, images=1)
    assert random.getstate() == before[0] and np.random.get_state()[1].tolist() == before[1]
    assert torch.equal(torch.get_rng_state(), before[2])
    assert detector.training and not detector.backbone.training
    assert all(torch.equal(value, weights[key]) for key, value in detector.state_dict().items())


@pytest.mark.slow
def test_files_are_evaluated(plain_config, detector, tmp_path):
    torch.save(dict(state_dict={**detector.state_dict(), 'distiller.methods.hint.weight': torch.ones(1)}),
               tmp_path / 'd.pth')
    assert evaluate_checkpoint(plain_config, tmp_path / 'd.pth').metrics == evaluate(detector, plain_config).metrics


@pytest.mark.slow
def test_writes_no_files(plain_config, detector, tmp_path):
    cfg = copy.deepcopy(plain_config)
    cfg.val_evaluator = [dict(cfg.val_evaluator, outfile_prefix=str(tmp_path / 'x')),
                         dict(type='DumpDetResults', out_file_path=str(tmp_path / 'x.pkl'))]
    evaluate(detector, cfg, images=1)
    assert not list(tmp_path.glob('*'))


@pytest.mark.slow
def test_voc_metrics_work(plain_config):
    cfg = copy.deepcopy(plain_config)
    cfg.val_evaluator = dict(type='VOCMetric')
    found = oracle(cfg, images=2)
    assert 'pascal_voc/mAP' in found.metrics


def test_refuses(plain_config, detector):
    def changed(**values):
        cfg = copy.deepcopy(plain_config)
        cfg.merge_from_dict(values)
        return cfg
    with pytest.raises(ValueError, match='has no validation data'):
        evaluate(detector, changed(val_dataloader=None))
    with pytest.raises(ValueError, match='only writes files'):
        evaluate(detector, changed(val_evaluator=[dict(type='DumpDetResults', out_file_path='x.pkl')]))
    with pytest.raises(ValueError, match='images is 0'):
        evaluate(detector, plain_config, images=0)
