import pytest
import torch
from mmengine.config import Config

from kddet.command_line.launch import TORCHRUN, check_strategy, launch_on_cpu

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason='with a GPU MMEngine launches')


@pytest.fixture
def torchrun(monkeypatch, tmp_path):
    for name, value in zip(TORCHRUN, ('0', '1', '0', '127.0.0.1', '0')):
        monkeypatch.setenv(name, value)
    yield
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def test_nothing_is_done_without_a_launcher():
    cfg = Config(dict(launcher='none'))
    launch_on_cpu(cfg)
    assert 'model_wrapper_cfg' not in cfg and not torch.distributed.is_initialized()


def test_gloo_and_a_wrapper_without_a_device(torchrun):
    cfg = Config(dict(launcher='pytorch', find_unused_parameters=True))
    launch_on_cpu(cfg)
    assert torch.distributed.get_backend() == 'gloo'
    assert cfg.model_wrapper_cfg == dict(type='MMDistributedDataParallel', broadcast_buffers=False,
                                         find_unused_parameters=True, device_ids=None)


def test_a_wrapper_of_the_user_keeps_its_settings(torchrun):
    cfg = Config(dict(launcher='pytorch', model_wrapper_cfg=dict(type='MyWrapper', broadcast_buffers=True)))
    launch_on_cpu(cfg)
    assert cfg.model_wrapper_cfg == dict(type='MyWrapper', broadcast_buffers=True, device_ids=None)


def test_other_launchers_need_a_gpu():
    with pytest.raises(ValueError, match='--launcher slurm needs GPUs'):
        launch_on_cpu(Config(dict(launcher='slurm')))


def test_outside_torchrun_the_message_says_how_to_start(monkeypatch):
    for name in TORCHRUN:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match='RANK, WORLD_SIZE.* not set in the environment; start the tool with '):
        launch_on_cpu(Config(dict(launcher='pytorch')))


@pytest.mark.parametrize('kind', ['FSDPStrategy', 'DeepSpeedStrategy', 'mmengine.FSDPStrategy'])
def test_strategies_that_split_the_student_are_refused(kind):
    check_strategy(Config(dict(strategy=dict(type='DDPStrategy'))))
    with pytest.raises(ValueError, match=f'strategy {kind} splits the parameters'):
        check_strategy(Config(dict(strategy=dict(type=kind))))
