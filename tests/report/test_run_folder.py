"""What is read from a work dir, wherever it lies now."""
import copy
import shutil

import pytest

from kddet.project.run_log import read_log
from kddet.report.detectors import line_up
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


def test_a_folder_of_runs_names_them(work_dirs):
    with pytest.raises(FileNotFoundError, match='is no work dir of a training') as refused:
        RunFolder(work_dirs[0].parent)
    assert 'inside it are work dirs, give these: ' in str(refused.value) and str(work_dirs[1]) in str(refused.value)
    with pytest.raises(FileNotFoundError, match='no json log in .*inside it are work dirs'):
        read_log(work_dirs[0].parent.parent)


def test_one_teacher_by_two_paths_is_one(work_dirs, teacher_files, tmp_path):
    config, checkpoint = tmp_path / 'other.py', tmp_path / 'other.pth'
    shutil.copy(teacher_files[0], config)
    shutil.copy(teacher_files[1], checkpoint)
    runs = [RunFolder(work_dirs[1]), RunFolder(work_dirs[1], 'again')]
    runs[1].cfg = copy.deepcopy(runs[1].cfg)
    runs[1].cfg.model.teacher.update(config=str(config), checkpoint=str(checkpoint))
    columns = line_up(runs, None, [])
    assert [column.name for column in columns] == ['teacher', 'hint', 'again']
    assert all(columns[0].taught(run) for run in runs)
    config.write_text(config.read_text().replace('base_channels=16', 'base_channels=24'))
    runs[1].__dict__.pop('teacher_files')
    assert len(line_up(runs, None, [])) == 4
