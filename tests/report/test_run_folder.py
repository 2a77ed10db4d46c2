"""What is read from a work dir, wherever it lies now."""
import shutil

import pytest

from kddet.report.run_folder import RunFolder, open_runs


def test_a_folder_that_was_moved(work_dirs, tmp_path):
    shutil.copytree(work_dirs[1], tmp_path / 'moved')
    run = RunFolder(tmp_path / 'moved')
    assert run.name == 'moved' and run.distilled and run.student.model.type == 'RetinaNet'
    assert run.checkpoint == tmp_path / 'moved/epoch_2.pth'
    (tmp_path / 'moved/last_checkpoint').unlink()
    assert run.checkpoint == tmp_path / 'moved/epoch_2.pth'
    (tmp_path / 'moved/epoch_2.pth').unlink()
    assert run.checkpoint is None


def test_the_last_validation(work_dirs):
    run = RunFolder(work_dirs[0])
    assert run.validated() == {'mAP': pytest.approx(20), 'mAP_50': pytest.approx(40), 'mAP_l': None}
    assert run.logged(r'^\s+seed: (\d+)$') == '7' and run.logged('nothing (x)') == ''


def test_a_folder_without_a_log(work_dirs, tmp_path):
    shutil.copy(work_dirs[0] / 'start/vis_data/config.py', tmp_path / 'student.py')
    with pytest.raises(FileNotFoundError, match='nothing was trained: it has neither a log .* nor a checkpoint'):
        RunFolder(tmp_path)
    shutil.copy(work_dirs[0] / 'epoch_2.pth', tmp_path)
    run = RunFolder(tmp_path)
    assert run.log.train == {} and run.validated() == {} and run.text == '' and not run.distilled


def test_a_test_in_the_same_folder_is_no_training(work_dirs, tmp_path):
    shutil.copytree(work_dirs[1], tmp_path / 'hint')
    later = tmp_path / 'hint/tested'
    (later / 'vis_data').mkdir(parents=True)
    for file in ('hint/tested/vis_data/config.py', 'hint/config.py'):
        shutil.copy(work_dirs[0] / 'start/vis_data/config.py', tmp_path / file)
    (later / 'tested.log').write_text('    seed: 8\n')
    run = RunFolder(tmp_path / 'hint')
    assert run.distilled and run.logged(r'^\s+seed: (\d+)$') == '7'


def test_runs_of_one_name_are_told_apart(work_dirs, tmp_path):
    for place in ('seed0/hint', 'seed1/hint'):
        shutil.copytree(work_dirs[1], tmp_path / place)
    assert [run.name for run in open_runs([tmp_path / 'seed0/hint', tmp_path / 'seed1/hint'])] == [
        'seed0/hint', 'seed1/hint']
    assert [run.name for run in open_runs(work_dirs)] == ['baseline', 'hint']


def test_refuses(work_dirs, tmp_path):
    with pytest.raises(FileNotFoundError, match="work dir 'gone' does not exist"):
        RunFolder('gone')
    with pytest.raises(FileNotFoundError, match='is no work dir of a training'):
        RunFolder(tmp_path)
    with pytest.raises(ValueError, match='given twice'):
        open_runs([work_dirs[0], work_dirs[0]])
