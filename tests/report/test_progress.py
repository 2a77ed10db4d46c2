"""A run that was stopped does not look finished."""
import json
import shutil

import pytest

from kddet.report import make_report
from kddet.report.progress import unfinished
from kddet.report.run_folder import RunFolder
from kddet.report.settings import settings


@pytest.fixture
def stopped(work_dirs, tmp_path):
    """The work dir of a run that was to have more epochs, with the log as far as asked for."""
    def copy(epochs, lines=None, name='stopped'):
        folder = shutil.copytree(work_dirs[1], tmp_path / name)
        config = folder / 'start/vis_data/config.py'
        config.write_text(config.read_text().replace('max_epochs=2', f'max_epochs={epochs}'))
        log = folder / 'start/vis_data/scalars.json'
        log.write_text('\n'.join(log.read_text().splitlines()[:lines]))
        return folder
    return copy


def test_a_finished_run(work_dirs):
    assert [unfinished(RunFolder(folder)) for folder in work_dirs] == ['', '']


def test_by_epochs(stopped):
    run = RunFolder(stopped(5))
    assert unfinished(run) == '2 of 5 epochs, interrupted or still running'
    assert settings(run)['schedule'].startswith('2 of 5 epochs, interrupted')
    (run.path / 'epoch_2.pth').rename(run.path / 'epoch_1.pth')
    log = run.path / 'start/vis_data/scalars.json'
    first = log.read_text().splitlines()
    log.write_text('\n'.join(first[:3]))  # two iterations and a validation
    assert unfinished(RunFolder(run.path)).startswith('1 of 5 epochs')
    log.write_text('\n'.join(first[:1]))
    (run.path / 'epoch_1.pth').unlink()
    assert unfinished(RunFolder(run.path)).startswith('0 of 5 epochs')


def test_the_last_line_of_the_log_says_whether_the_epoch_is_over(stopped):
    folder = stopped(2, lines=1)
    (folder / 'epoch_2.pth').unlink()
    entry = json.loads((folder / 'start/vis_data/scalars.json').read_text())
    (folder / 'start/vis_data/scalars.json').write_text(json.dumps(dict(entry, epoch=2, iter=100)))
    log, interval = folder / 'start/start.log', 'default_hooks.logger.interval'
    for line, said in (('Epoch(train)  [2][ 25/60]', '1 of 2 epochs'), ('Epoch(train)  [2][50/60]', '')):
        log.write_text(f'mmengine - INFO - {line}  lr: 0.1\n')
        run = RunFolder(folder)
        run.cfg.merge_from_dict({interval: 25})
        assert unfinished(run).startswith(said) and bool(unfinished(run)) == bool(said)


def test_by_iterations(stopped):
    run = RunFolder(stopped(5))
    run.cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=90)
    assert unfinished(run) == '4 of 90 iterations, interrupted or still running'
    (run.path / 'iter_80.pth').touch()
    assert unfinished(run).startswith('80 of 90')
    run.cfg.train_cfg = dict(max_iters=4)
    assert unfinished(run) == ''
    run.cfg.train_cfg = dict(max_iters=90)
    run.cfg.custom_hooks = [dict(type='EarlyStoppingHook')]
    assert unfinished(run).endswith('stopped early, interrupted or still running')


def test_it_is_said_at_the_top_of_the_page(stopped, work_dirs):
    page = make_report([stopped(5)], work_dirs[0], measure=False)
    top = page[page.index('class="verdicts"'):page.index('Figures of every detector')]
    assert 'stopped (2 of 5 epochs, interrupted or still running) reaches' in top and 'baseline (' not in top
    page = make_report([work_dirs[1]], stopped(5, name='base'), measure=False)
    assert 'base (2 of 5 epochs, interrupted or still running) is what the others are compared with' in page
