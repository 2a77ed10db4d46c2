import json
import logging
import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')  # the tensors are tiny, threads only wait for each other

import pytest  # noqa: E402
import torch  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.logging import MessageHub, MMLogger  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402

import kddet  # noqa: E402, F401
from kddet.command_line.parser import quiet  # noqa: E402
from kddet.datasets import make_digits  # noqa: E402
from kddet.project.overlay import distillation_config  # noqa: E402
from kddet.studies.plan import move_data  # noqa: E402

quiet()


def pytest_collection_modifyitems(items):
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker('gpu'):
                item.add_marker(pytest.mark.skip(reason='torch finds no GPU'))


@pytest.fixture(autouse=True)
def _reproducible(request):
    torch.manual_seed(0)
    MessageHub.get_instance(request.node.nodeid)  # or the iteration that another test's Runner left there goes on
    init_default_scope('mmdet')
    MMLogger.get_current_instance().setLevel(logging.ERROR)


@pytest.fixture(scope='session')
def repository():
    return Path(__file__).parents[1]


@pytest.fixture(scope='session')
def digits(tmp_path_factory):
    """Eight pictures: enough for a few iterations of anything."""
    folder = tmp_path_factory.mktemp('digits')
    make_digits(folder, train=8, val=4, size=96)
    return folder


@pytest.fixture(scope='session')
def plain_config(repository, digits):
    """The digits student, made to run in seconds: four iterations in two epochs."""
    cfg = Config.fromfile(repository / 'configs/digits/retinanet_r18-quarter_fpn_10e_digits.py')
    move_data(cfg, digits)
    cfg.merge_from_dict({
        'model.backbone.base_channels': 8, 'model.neck.in_channels': [8, 16, 32, 64], 'train_cfg.max_epochs': 2,
        'train_dataloader.batch_size': 4, 'default_hooks.logger.interval': 1, 'log_processor.window_size': 1,
        'log_level': 'ERROR', 'default_hooks.checkpoint.max_keep_ckpts': -1, 'param_scheduler.0.end': 2,
        'model.test_cfg.score_thr': 0.0})  # an untrained detector finds something, too
    return cfg


@pytest.fixture(scope='session')
def distilled_config(plain_config, teacher_files):
    config, checkpoint = teacher_files
    return distillation_config(plain_config, teacher=dict(config=config, checkpoint=checkpoint),
                               methods=dict(hint=dict(type='kddet.HintLearning')))


@pytest.fixture(scope='session')
def teacher_files(plain_config, tmp_path_factory):
    """A config file and a checkpoint of a teacher as a user would have them."""
    from mmengine.registry import MODELS

    init_default_scope('mmdet')
    folder = tmp_path_factory.mktemp('teacher')
    cfg = plain_config.copy()
    cfg.merge_from_dict({'model.backbone.base_channels': 16, 'model.neck.in_channels': [16, 32, 64, 128]})
    cfg.dump(folder / 'teacher.py')
    torch.manual_seed(5)
    detector = MODELS.build(cfg.model)
    detector.init_weights()
    torch.save(dict(state_dict=detector.state_dict(), meta={}), folder / 'teacher.pth')
    return str(folder / 'teacher.py'), str(folder / 'teacher.pth')


@pytest.fixture(scope='session')
def fork(repository):
    """Run a tool in a fork of a process that has imported everything; its exit code.

    What it prints goes to the file ``output``; the other keys of a job are those of ``fork_server.py``.
    """
    server = subprocess.Popen([sys.executable, repository / 'tests/integration/fork_server.py'],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def run(tool, *arguments, folder, output, **job):
        job = dict(tool=str(repository / 'tools' / tool), arguments=[*map(str, arguments)], folder=str(folder),
                   output=str(output), **job)
        print(json.dumps(job), file=server.stdin)
        return int(server.stdout.readline())
    with server:
        yield run
