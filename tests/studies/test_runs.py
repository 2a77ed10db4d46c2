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
import torch
from mmengine.config import Config

from kddet.checkpoint import load_checkpoint
from kddet.studies import PseudoLabelling, Run, execute
from kddet.studies.study import write_rows

pytestmark = pytest.mark.slow


@pytest.fixture
def run(plain_config, tmp_path):
    cfg = copy.deepcopy(plain_config)
    cfg.log_level = 'INFO'
    return Run('tiny', tmp_path / 'tiny', cfg, about=dict(pair='p', variant='baseline', seed=0))


def test_a_run_is_trained_once_and_leaves_its_figures(run, tmp_path):
    started = []
    execute([run], jobs=1, report=lambda running: started.extend(running))
    assert run.finished and run.progress == 1 and started
    assert {'measures', 'curve', 'seconds', 'peak_memory', 'checkpoint_hash'} <= set(run.result)
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


def test_iterations_and_pseudo_labels(run, digits, tmp_path):
    """A teacher counted in iterations labels pictures; once, and with its figures."""
    run.cfg.merge_from_dict({
        'train_cfg': dict(_delete_=True, type='IterBasedTrainLoop', max_iters=2, val_interval=2),
        'param_scheduler': [], 'default_hooks.logger.log_metric_by_epoch': False, 'log_processor.by_epoch': False,
        'default_hooks.checkpoint': dict(type='CheckpointHook', by_epoch=False, interval=1),
        'train_dataloader.sampler': dict(_delete_=True, type='InfiniteSampler')})
    wanted = dict(images=str(digits / 'train'), ann=str(digits / 'instances_train.json'), score_thr=0.0)
    labels = PseudoLabelling('labels', tmp_path / 'labels', Config(wanted), after=(run,))
    execute([run, labels], jobs=1, report=lambda running: None)
    assert run.finished and run.result['curve'][0][0] == 2 and run.checkpoint.name == 'iter_2.pth'
    content = json.loads(labels.checkpoint.read_text())
    assert labels.finished and labels.progress == 1 and labels.result['boxes'] == len(content['annotations'])
    assert content['info']['checkpoint_sha256'] == run.result['checkpoint_hash']
    write_rows([run, labels], tmp_path / 'rows.jsonl')
    (row,) = map(json.loads, (tmp_path / 'rows.jsonl').read_text().splitlines())
    assert row['iters'] == 2


def test_another_config_is_another_run(run):
    execute([run], jobs=1, report=lambda running: None)
    cfg = copy.deepcopy(run.cfg)
    cfg.optim_wrapper.optimizer.lr = 1e-4
    other = Run(run.name, run.work_dir, cfg)
    assert run.finished and not other.finished and other.progress == 0


def test_goes_on_after_an_interruption(run):
    process = run.start(threads=1)
    while not (run.work_dir / 'last_checkpoint').is_file():
        assert process.poll() is None, run.tail()
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert not run.finished
    execute([run], jobs=1, report=lambda running: None)
    assert run.finished and 'resumed epoch: 1' in (run.work_dir / 'output.log').read_text()


@pytest.mark.parametrize('harm', ['last checkpoint cut short', 'last evaluation missing'])
def test_goes_on_after_a_kill_at_a_bad_moment(run, harm):
    execute([run], jobs=1, report=lambda running: None)
    expected = load_checkpoint(run.checkpoint)['state_dict']
    measures = run.result['measures']
    (run.work_dir / 'result.json').unlink()
    if harm == 'last checkpoint cut short':
        run.checkpoint.write_bytes(run.checkpoint.read_bytes()[:1000])
    else:
        (scalars,) = run.work_dir.glob('*/vis_data/scalars.json')
        scalars.write_text('\n'.join(scalars.read_text().splitlines()[:-1]))
    (run.work_dir / 'last_checkpoint').write_text('gone.pth')
    execute([run], jobs=1, report=lambda running: None)
    again = load_checkpoint(run.checkpoint)['state_dict']
    assert all(torch.equal(value, again[key]) for key, value in expected.items())
    assert run.result['measures'] == measures and [epoch for epoch, _ in run.result['curve']] == [1, 2]


def test_a_teacher_trained_anew_makes_its_students_stale(run, tmp_path):
    run.about['variant'] = 'teacher'
    student = Run('student', tmp_path / 'student', run.cfg, after=(run,), about=dict(pair='p', variant='v', seed=0))
    execute([run, student], jobs=2, report=lambda running: None)
    write_rows([student], tmp_path / 'rows.jsonl')
    assert student.finished and student.result['after'] == [run.result['checkpoint_hash']]
    cfg = copy.deepcopy(run.cfg)
    cfg.optim_wrapper.optimizer.lr = 1e-4
    run = Run('tiny', run.work_dir, cfg, about=run.about)
    student = Run('student', student.work_dir, student.cfg, after=(run,), about=student.about)
    assert not student.finished
    execute([run, student], jobs=2, report=lambda running: None)
    write_rows([student], tmp_path / 'rows.jsonl')
    rows = [json.loads(line) for line in (tmp_path / 'rows.jsonl').read_text().splitlines()]
    assert len(rows) == 2 and rows[1]['teacher_hash'] == run.result['checkpoint_hash'] != rows[0]['teacher_hash']


def test_a_failure_does_not_stop_the_others(run, tmp_path):
    broken = copy.deepcopy(run.cfg)
    broken.model.bbox_head.type = 'NoSuchHead'
    with pytest.raises(RuntimeError, match='broken failed with exit code'):
        execute([Run('broken', tmp_path / 'broken', broken), run], jobs=1, report=lambda running: None)
    assert run.finished


def test_time_is_summed_over_all_iterations(run):
    lines = [dict(iter=25, step=25, time=0.1), dict(iter=30, step=30, time=0.2), dict(iter=55, step=55, time=0.1),
             {'coco/bbox_mAP': 0.5, 'step': 2}]
    log = run.work_dir / '1/vis_data/scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text('\n'.join(map(json.dumps, lines)))
    run.checkpoint.write_bytes(b'')
    run.finish(100)
    assert run.result['seconds'] == pytest.approx(25 * 0.1 + 5 * 0.2 + 25 * 0.1)


def test_a_failure_shows_the_end_of_its_output(run):
    run.cfg.model.bbox_head.type = 'NoSuchHead'
    with pytest.raises(RuntimeError, match='(?s)tiny failed with exit code 2.*NoSuchHead.* is not registered'):
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
    for _ in range(600):
        assert parent.poll() is None
        if output.is_file() and 'Epoch(train)' in output.read_text():
            break
        time.sleep(0.1)
    (child,) = [int(part) for part in Path(f'/proc/{parent.pid}/task/{parent.pid}/children').read_text().split()]
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    for _ in range(100):
        if not Path(f'/proc/{child}').exists() or 'Z' in Path(f'/proc/{child}/stat').read_text().split()[2]:
            return
        time.sleep(0.1)
    pytest.fail('the training outlived its parent')
