"""A teacher's cache under MMEngine's Runner, and filled ahead on the command line."""
import copy
import re

import pytest
import torch
from mmengine.runner import Runner

from kddet.cache.config import prepare_cache
from kddet.checkpoint import load_checkpoint

FLIP = dict(type='RandomFlip', prob=0.5)


@pytest.fixture
def cached_config(distilled_config, tmp_path):
    """Three epochs of two iterations, with flips."""
    cfg = copy.deepcopy(distilled_config)
    cfg.train_dataloader.dataset.pipeline.insert(3, FLIP)
    cfg.train_cfg.max_epochs = 3
    cfg.train_cfg.val_interval = 3
    cfg.model.teacher.cache = dict(dir=str(tmp_path / 'cache'))
    return cfg


def train(cfg, work_dir, cached=True):
    cfg = copy.deepcopy(cfg)
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = cfg.visualizer.name = f'{work_dir.parent.name}-{work_dir.name}'
    if not cached:
        del cfg.model.teacher['cache']
    prepare_cache(cfg)
    runner = Runner.from_cfg(cfg)
    calls = []
    runner.model.teacher.detector.backbone.register_forward_hook(lambda *_: calls.append(runner.iter))
    runner.train()
    return calls


def weights(path):
    return load_checkpoint(path)['state_dict']


def same(first, second):
    first, second = weights(first), weights(second)
    return first.keys() == second.keys() and all(torch.equal(value, second[key]) for key, value in first.items())


def entries(folder):
    return sorted(folder.glob('*/??/*.safetensors'))


@pytest.mark.slow
def test_the_teacher_runs_in_the_first_epoch_alone(cached_config, tmp_path):
    """Each of its two batches by both flips; and the student that comes out is the same, bit for bit."""
    assert train(cached_config, tmp_path / 'live', cached=False) == [0, 1, 2, 3, 4, 5]
    assert train(cached_config, tmp_path / 'cached') == [0, 0, 1, 1]
    assert same(tmp_path / 'live/epoch_3.pth', tmp_path / 'cached/epoch_3.pth')
    assert len(entries(tmp_path / 'cache')) == 8 * 2


@pytest.mark.slow
def test_resumed_and_counted_by_iterations(cached_config, tmp_path):
    """It is still there for the next run, whatever its loop is."""
    del cached_config.train_dataloader.dataset.pipeline[3]  # a Runner that resumes draws other flips
    cfg = copy.deepcopy(cached_config)
    whole = train(cfg, tmp_path / 'whole')
    cfg.update(resume=True, load_from=str(tmp_path / 'whole/epoch_1.pth'))
    assert whole and not train(cfg, tmp_path / 'resumed')
    assert same(tmp_path / 'whole/epoch_3.pth', tmp_path / 'resumed/epoch_3.pth')
    cfg = copy.deepcopy(cached_config)
    cfg.train_dataloader.sampler = dict(type='InfiniteSampler', shuffle=True)
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=4, val_interval=4)
    cfg.default_hooks.checkpoint.update(by_epoch=False, interval=4)
    cfg.custom_hooks = [dict(type='EMAHook')]
    assert not train(cfg, tmp_path / 'iterations')


@pytest.mark.slow
@pytest.mark.parametrize('on_miss', ['write', 'compute'])
def test_a_pipeline_that_cannot_be_replayed(cached_config, tmp_path, on_miss):
    cfg = copy.deepcopy(cached_config)
    cfg.train_dataloader.dataset.pipeline.insert(4, dict(type='RandomCrop', crop_size=(64, 64)))
    cfg.model.teacher.cache.on_miss = on_miss
    if on_miss == 'write':
        with pytest.raises(ValueError, match='cannot replay RandomCrop'):
            prepare_cache(cfg)
    else:
        assert train(cfg, tmp_path / 'live') == [0, 1, 2, 3, 4, 5] and not entries(tmp_path / 'cache')


@pytest.fixture
def run(fork, tmp_path):
    def run(tool, *arguments, code=0):
        output = tmp_path / 'output'
        assert fork(tool, *arguments, folder=tmp_path, output=output, environment=dict(COLUMNS='200')) == code, \
            output.read_text()
        return output.read_text()
    return run


@pytest.mark.slow
def test_a_cache_that_is_filled_ahead_leaves_the_teacher_nothing_to_do(cached_config, run, tmp_path):
    cfg = copy.deepcopy(cached_config)
    cfg.train_dataloader.dataset.pipeline[2:4] = [FLIP, dict(
        type='RandomChoiceResize', scales=[(96, 96), (64, 64)], keep_ratio=True), dict(type='Pad', size=(96, 96))]
    cfg.dump(tmp_path / 'distil.py')
    out = run('cache_teacher.py', 'distil.py')
    assert re.search(r'holds 0\.\d+ GB, 0\.\d+ GB of them written in \d+ s', out)
    assert len(entries(tmp_path / 'cache')) == 8 * 2 * 2
    gone = entries(tmp_path / 'cache')[:3]
    times = [path.stat().st_mtime_ns for path in entries(tmp_path / 'cache')[3:]]
    for path in gone:
        path.unlink()
    run('cache_teacher.py', 'distil.py')  # goes on where it was
    assert all(path.exists() for path in gone)
    assert [path.stat().st_mtime_ns for path in entries(tmp_path / 'cache') if path not in gone] == times
    assert not train(cfg, tmp_path / 'train')


@pytest.mark.slow
def test_what_cannot_be_filled_is_one_sentence(cached_config, run, tmp_path):
    cfg = copy.deepcopy(cached_config)
    cfg.dump(tmp_path / 'distil.py')
    cfg.train_dataloader.dataset.pipeline[2] = dict(
        type='RandomChoiceResize', scales=[(96, 96), (64, 64)], keep_ratio=True)
    cfg.dump(tmp_path / 'sizes.py')
    error = run('cache_teacher.py', 'sizes.py', code=2)
    assert 'batches are padded to different sizes ((64, 64), (96, 96) so far)' in error
    erasing = 'train_dataloader.dataset.pipeline.3.type=RandomErasing'
    assert 'cannot replay RandomErasing' in run('train.py', 'distil.py', '--cfg-options', erasing, code=2)
