from pathlib import Path

import pytest

from kddet.project.config import load_config

FOLDER = Path(__file__).parents[2] / 'configs/labelenc'
COCO = sorted(FOLDER.glob('*_coco.py'))


@pytest.mark.parametrize('path', COCO, ids=lambda path: path.stem)
def test_is_trained_as_the_authors_train(path):
    cfg = load_config(path)
    step1, two_stage = 'step1' in path.name, 'faster-rcnn' in path.name
    iterations = 120_000 if step1 else 90_000
    optimizer = cfg.optim_wrapper
    assert optimizer.paramwise_cfg == dict(bias_lr_mult=2., bias_decay_mult=0.)
    assert optimizer.optimizer == dict(type='SGD', lr=0.02 if two_stage else 0.01, momentum=0.9, weight_decay=0.0001)
    assert cfg.train_cfg.max_iters == iterations
    assert cfg.param_scheduler[1].milestones == [iterations - 30_000, iterations - 10_000]
    hook, = cfg.custom_hooks
    assert (hook.get('start'), hook.get('stop')) == ((30_000, None) if step1 else (None, 80_000))
    assert (optimizer.get('clip_grad') is not None) is ('fcos' in path.name)  # the one that is MMDet's, not theirs


def test_there_are_both_steps_of_three_detectors():
    assert len(COCO) == 6
