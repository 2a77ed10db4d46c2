"""Runs are real trainings here, of two iterations each."""
import copy
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kddet.studies import Run, execute
from kddet.studies.study import write_rows

pytestmark = pytest.mark.slow


@pytest.fixture
def run(plain_config, tmp_path):
    return Run('tiny', tmp_path / 'tiny', copy.deepcopy(plain_config), about=dict(pair='p', variant='baseline', seed=0))


def test_a_run_is_trained_once_and_leaves_its_figures(run, tmp_path):
    started = []
    execute([run], jobs=1, report=lambda running: started.extend(running))
    assert run.finished and run.progress == 1 and started
    assert set(run.result) == {'measures', 'curve', 'seconds', 'peak_memory', 'checkpoint_hash'}
    assert {'mAP', 'mAP_50', 'mAP_75', 'mAP_s'} <= set(run.result['measures'])
    assert [epoch for epoch, _ in run.result['curve']] == [1, 2]
    assert run.result['peak_memory'] > 100 and run.result['seconds'] > 0
    started.clear()
    execute([run], jobs=1, report=lambda running: started.extend(running))
    assert not started
    for _ in range(2):
        write_rows([run], tmp_path / 'rows.jsonl')
    (row,) = map(json.loads, (tmp_path / 'rows.jsonl').read_text().splitlines())
    assert row['commit'] and row['versions']['torch'] and row['measures'] == run.result['measures']


def test_another_config_is_another_run(run):
    execute([run], jobs=1, report=lambda running: None)
    cfg = copy.deepcopy(run.cfg)
    cfg.optim_wrapper.optimizer.lr = 1e-4
    other = Run(run.name, run.work_dir, cfg)
    assert run.finished and not other.finished and other.progress == 0


def test_goes_on_after_an_interruption(run):
    process = run.start(threads=1)
    while not (run.work_dir / 'epoch_1.pth').is_file():
        assert process.poll() is None, run.tail()
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert not run.finished
    execute([run], jobs=1, report=lambda running: None)
    assert run.finished
    log = (run.work_dir / 'output.log').read_text()
    assert 'resumed epoch' in log or log.count('Auto resumed') == 2


def test_a_failure_shows_the_end_of_its_output(run):
    run.cfg.model.bbox_head.type = 'NoSuchHead'
    with pytest.raises(RuntimeError, match='(?s)tiny failed with exit code 2.*NoSuchHead is not in the'):
        execute([run], jobs=1, report=lambda running: None)


def test_children_end_with_their_parent(run, tmp_path, repository):
    run.cfg.train_cfg.max_epochs = 1000
    run.cfg.dump(tmp_path / 'cfg.py')
    script = ('from mmengine.config import Config; from pathlib import Path; from kddet.studies import Run, execute; '
              'run = Run("long", Path("long").absolute(), Config.fromfile("cfg.py")); '
              'execute([run], jobs=1, report=lambda running: None)')
    parent = subprocess.Popen([sys.executable, '-c', script], cwd=tmp_path,
                              env=dict(os.environ, PYTHONPATH=str(repository)))
    output = tmp_path / 'long/output.log'
    while not output.is_file() or 'Epoch' not in output.read_text():
        assert parent.poll() is None
        time.sleep(0.1)
    (child,) = [int(part) for part in Path(f'/proc/{parent.pid}/task/{parent.pid}/children').read_text().split()]
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    for _ in range(100):
        if not Path(f'/proc/{child}').exists() or 'Z' in Path(f'/proc/{child}/stat').read_text().split()[2]:
            return
        time.sleep(0.1)
    pytest.fail('the training outlived its parent')
