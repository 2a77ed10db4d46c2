"""The Distiller under MMEngine's Runner."""
import copy
import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner

from kddet.checkpoint import load_checkpoint
from kddet.hooks import LossWeightHook
from kddet.project.config import student_config


def build(cfg, work_dir, **changes):
    cfg = copy.deepcopy(cfg)
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = f'{work_dir.parent.name}-{work_dir.name}-{len(list(work_dir.glob("*")))}'
    cfg.visualizer.name = cfg.experiment_name  # instances are shared by name, the place that they log to as well
    cfg.merge_from_dict(changes)
    return Runner.from_cfg(cfg)


def train(cfg, work_dir, **changes):
    runner = build(cfg, work_dir, **changes)
    runner.train()
    return runner


def scalars(work_dir):
    lines = [json.loads(line) for path in sorted(work_dir.glob('*/vis_data/scalars.json'))
             for line in path.read_text().splitlines()]
    return [{key: value for key, value in line.items() if 'time' not in key} for line in lines]


def same_weights(a, b):
    a, b = load_checkpoint(a)['state_dict'], load_checkpoint(b)['state_dict']
    return a.keys() == b.keys() and all(torch.equal(value, b[key]) for key, value in a.items())


@pytest.fixture(scope='module')
def plain_run(plain_config, tmp_path_factory):
    """The work dir of the plain student."""
    work_dir = tmp_path_factory.mktemp('plain') / 'work'
    train(plain_config, work_dir)
    return work_dir


@pytest.fixture(scope='module')
def distilled_run(distilled_config, tmp_path_factory):
    """The Runner of the distilled student, after training."""
    return train(distilled_config, tmp_path_factory.mktemp('distilled') / 'work')


@pytest.mark.slow
def test_teacher_is_bit_identical_after_training_with_ema(distilled_config, tmp_path):
    cfg = copy.deepcopy(distilled_config)
    cfg.custom_hooks = [dict(type='EMAHook', ema_type='ExpMomentumEMA', update_buffers=True)]
    runner = build(cfg, tmp_path)
    before = copy.deepcopy(runner.model.teacher.state_dict())
    runner.train()
    after = runner.model.teacher.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)
    saved = load_checkpoint(tmp_path / 'epoch_2.pth')
    assert not any('teacher' in key for key in [*saved['state_dict'], *saved['ema_state_dict']])
    assert all(key.startswith('module.') or key == 'steps' for key in saved['ema_state_dict'])
    assert 'backbone.conv1.weight' in saved['state_dict']
    adapters = [key for key in saved['state_dict'] if key.startswith('distiller.methods.hint.adapters')]
    assert len(adapters) == 2 * 4


@pytest.mark.slow
def test_vanishing_weight_trains_the_plain_detector_bit_for_bit(plain_run, distilled_config, tmp_path):
    # gradients are clipped by their common norm, to which a weight of 1e-30 adds nothing
    train(distilled_config, tmp_path / 'distilled', **{'model.methods.hint.loss_weight': 1e-30})
    plain, distilled = (load_checkpoint(folder / 'epoch_2.pth')['state_dict']
                        for folder in (plain_run, tmp_path / 'distilled'))
    for key, value in plain.items():
        assert torch.equal(value, distilled[key]), key
    logged, plainly_logged = scalars(tmp_path / 'distilled'), scalars(plain_run)
    assert len(logged) == len(plainly_logged) == 4 + 2
    for ours, theirs in zip(logged, plainly_logged):
        assert {key: ours[key] for key in theirs} == theirs


@pytest.mark.slow
def test_the_hint_changes_the_student(plain_run, distilled_run):
    folder = Path(distilled_run.work_dir)
    plain, distilled = (load_checkpoint(file)['state_dict'] for file in (plain_run / 'epoch_2.pth',
                                                                         folder / 'epoch_2.pth'))
    assert not torch.equal(plain['backbone.conv1.weight'], distilled['backbone.conv1.weight'])
    assert ['loss_hint' in line for line in scalars(folder) if 'loss' in line] == 4 * [True]


@pytest.mark.slow
@pytest.mark.parametrize('ema', [False, True])
def test_resuming_equals_an_uninterrupted_run(distilled_config, tmp_path, ema):
    cfg = copy.deepcopy(distilled_config)
    cfg.custom_hooks = [dict(type='kddet.LossWeightHook', method='hint', ramp=3, by_epoch=False)]
    if ema:
        cfg.custom_hooks.append(dict(type='EMAHook'))
    cfg.param_scheduler = [dict(type='MultiStepLR', milestones=[1], by_epoch=True)]  # stores a Counter
    train(cfg, tmp_path / 'whole')
    resumed = train(cfg, tmp_path / 'resumed', resume=True, load_from=str(tmp_path / 'whole/epoch_1.pth'))
    assert resumed.epoch == 2
    assert same_weights(tmp_path / 'whole/epoch_2.pth', tmp_path / 'resumed/epoch_2.pth')


@pytest.fixture
def step1_config(plain_config):
    cfg = copy.deepcopy(plain_config)
    cfg.model = ConfigDict(type='kddet.LabelEncAutoencoder', student=cfg.model, encoder=dict(stem_channels=8))
    cfg.custom_hooks = [dict(type='kddet.LossWeightHook', method='distance', start=1, by_epoch=True)]
    return cfg


@pytest.mark.slow
def test_labelenc_in_two_steps(step1_config, plain_config, tmp_path):
    """The adapter idles for an epoch and stays what it is; each step, interrupted, goes on as if it had not been."""
    train(step1_config, tmp_path / 'whole')
    train(step1_config, tmp_path / 'parts', resume=True, load_from=str(tmp_path / 'whole/epoch_1.pth'))
    assert same_weights(tmp_path / 'whole/epoch_2.pth', tmp_path / 'parts/epoch_2.pth')
    first, last = (load_checkpoint(tmp_path / f'whole/epoch_{epoch}.pth')['state_dict'] for epoch in (1, 2))
    adapter = [key for key in first if key.startswith('distiller.methods.distance.adapter')]
    fresh = build(step1_config, tmp_path / 'fresh')
    fresh.model.init_weights()
    assert len(adapter) == 6 and all(torch.equal(first[key], fresh.model.state_dict()[key]) for key in adapter)
    assert not any(torch.equal(first[key], last[key]) for key in adapter)
    step2 = copy.deepcopy(plain_config)
    step2.model = ConfigDict(type='kddet.Distiller', student=step2.model, methods=dict(
        labelenc=dict(type='kddet.LabelEnc', step1=str(tmp_path / 'whole/epoch_2.pth'))))
    train(step2, tmp_path / 'two')
    train(step2, tmp_path / 'two-parts', resume=True, load_from=str(tmp_path / 'two/epoch_1.pth'))
    assert same_weights(tmp_path / 'two/epoch_2.pth', tmp_path / 'two-parts/epoch_2.pth')
    assert all('loss_labelenc' in line for line in scalars(tmp_path / 'two') if 'loss' in line)


def test_stock_mmdet_tests_the_file_with_the_same_map(distilled_run, plain_config, tmp_path):
    ours = distilled_run.val()
    plain = copy.deepcopy(plain_config)
    plain.update(work_dir=str(tmp_path / 'test'), load_from=f'{distilled_run.work_dir}/epoch_2.pth')
    stock = Runner.from_cfg(plain)
    theirs = stock.test()
    assert type(stock.model).__name__ == 'RetinaNet'
    assert theirs == ours and 'coco/bbox_mAP' in ours
    for key, value in stock.model.state_dict().items():
        assert torch.equal(value, distilled_run.model.student.state_dict()[key])


@pytest.mark.slow
def test_switched_off_by_schedule_the_teacher_rests(distilled_config, tmp_path):
    cfg = copy.deepcopy(distilled_config)
    cfg.custom_hooks = [dict(type='kddet.LossWeightHook', method='hint', stop=1)]
    runner = build(cfg, tmp_path)
    runs = []
    runner.model.teacher.detector.backbone.register_forward_hook(lambda *_: runs.append(runner.epoch))
    runner.train()
    assert runs == [0, 0]  # two iterations an epoch, and none in the second epoch
    losses = [line['loss_hint'] for line in scalars(tmp_path) if 'loss_hint' in line]
    assert losses[0] > 0 and losses[2] == 0


def test_student_config_needs_no_teacher_file(distilled_config, tmp_path):
    cfg = copy.deepcopy(distilled_config)
    cfg.model.teacher.update(config='gone.py', checkpoint='gone.pth')
    cfg.custom_hooks = [dict(type='kddet.LossWeightHook', method='hint'), dict(type='EMAHook')]
    plain = student_config(cfg)
    assert plain.model.type == 'RetinaNet' and [hook['type'] for hook in plain.custom_hooks] == ['EMAHook']
    assert cfg.model.type == 'kddet.Distiller'  # the one that came in is left as it is
    assert student_config(Config(dict(model=dict(type='RetinaNet')))).model.type == 'RetinaNet'
    assert LossWeightHook('hint').method == 'hint'
