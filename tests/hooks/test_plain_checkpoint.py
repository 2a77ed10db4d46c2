"""A checkpoint of a distillation is one that MMDet loads where there is no kddet."""
import copy
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import Runner

from kddet import PlainCheckpointHook
from kddet.hooks.plain_checkpoint import KIND

STOCK = '''
import sys
sys.modules['kddet'] = None  # importing it is an error
from mmdet.apis import init_detector
detector = init_detector(sys.argv[1], sys.argv[2], device='cpu')
print(type(detector).__name__, len(detector.dataset_meta['classes']))
'''


def hub(name):
    own = MessageHub.get_instance(name)
    for step in range(5):
        own.update_scalar('train/loss', step / 3, count=step + 1)
    own.update_info('best_score', np.float64(0.25))
    own.update_info('iter', 5)
    return own


def kinds(value):
    if isinstance(value, dict):
        return set().union(*map(kinds, value.values())) if value else set()
    if isinstance(value, (list, tuple)):
        return set().union(*map(kinds, value)) if value else set()
    return {type(value)}


def test_what_is_saved_is_plain_and_comes_back_as_it_was(tmp_path):
    hook, own = PlainCheckpointHook(), hub('saved')
    checkpoint = dict(meta=dict(epoch=1, dataset_meta=dict(classes=('a', 'b'), palette=np.ones((2, 3), np.uint8))),
                      message_hub=own.state_dict(), state_dict={})
    before = checkpoint['message_hub']['log_scalars']['train/loss']
    hook.before_save_checkpoint(SimpleNamespace(), checkpoint)
    assert kinds(checkpoint) <= {int, float, str, bool, type(None), torch.Tensor}
    assert checkpoint['meta']['dataset_meta'] == dict(classes=('a', 'b'), palette=[[1, 1, 1], [1, 1, 1]])
    torch.save(checkpoint, tmp_path / 'x.pth')
    loaded = torch.load(tmp_path / 'x.pth', weights_only=True)
    hook.after_load_checkpoint(SimpleNamespace(), loaded)
    found = loaded['message_hub']['log_scalars']['train/loss']
    assert isinstance(found, HistoryBuffer) and found.max_length == before.max_length
    assert found.mean(3) == before.mean(3)
    assert all(np.array_equal(*pair) and pair[0].dtype == pair[1].dtype for pair in zip(found.data, before.data))
    other = MessageHub.get_instance('resumed')
    other.load_state_dict(loaded['message_hub'])
    assert other.get_info('best_score') == 0.25 and other.get_scalar('train/loss').current() == 4 / 3
    assert isinstance(before, HistoryBuffer) and isinstance(own.get_scalar('train/loss'), HistoryBuffer)


def test_checkpoints_from_elsewhere_are_left_alone():
    hook = PlainCheckpointHook()
    for checkpoint in ({}, dict(state_dict={}), dict(message_hub=hub('stock').state_dict())):
        before = copy.copy(checkpoint)
        hook.after_load_checkpoint(SimpleNamespace(), checkpoint)
        assert checkpoint.keys() == before.keys()
    assert isinstance(checkpoint['message_hub']['log_scalars']['train/loss'], HistoryBuffer)


@pytest.mark.slow
def test_stock_mmdet_loads_a_run_without_kddet_and_the_run_goes_on(distilled_config, plain_config, tmp_path):
    cfg = copy.deepcopy(distilled_config)
    cfg.custom_hooks = [dict(type='kddet.PlainCheckpointHook')]
    cfg.work_dir = str(tmp_path / 'work')
    cfg.experiment_name = cfg.visualizer.name = 'plain-checkpoint'
    Runner.from_cfg(cfg).train()
    file = tmp_path / 'work/epoch_1.pth'
    assert KIND in next(iter(torch.load(file, weights_only=True)['message_hub']['log_scalars'].values()))
    plain_config.dump(tmp_path / 'plain.py')
    loaded = subprocess.run([sys.executable, '-c', STOCK, tmp_path / 'plain.py', file], capture_output=True, text=True)
    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout.split()[-2:] == ['RetinaNet', '10']
    cfg.update(resume=True, load_from=str(file), experiment_name='plain-checkpoint-resumed')
    cfg.visualizer.name = 'plain-checkpoint-resumed'
    runner = Runner.from_cfg(cfg)
    runner.load_or_resume()
    losses = runner.message_hub.get_scalar('train/loss')
    assert runner.iter == 2 and len(losses.data[0]) == 2
