import json

import pytest

from kddet.project.run_log import log_entries, read_log


def write(folder, start, *entries, end=''):
    path = folder / start / 'vis_data/scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text('\n'.join(json.dumps(entry) for entry in entries) + end)


def trained(iteration, loss, **others):
    return dict(loss=loss, iter=iteration, step=iteration, **others)


def evaluated(measure, step):
    return {'coco/bbox_mAP': measure, 'step': step}


def test_losses_over_iterations_and_measures_over_epochs(tmp_path):
    write(tmp_path, '1', trained(10, 3.0, loss_hint=1.0, epoch=1), evaluated(0.1, 1),
          trained(20, 2.0, loss_hint=0.5, lr=0.1, epoch=2), evaluated(0.2, 2))
    log = read_log(tmp_path)
    assert log.name == tmp_path.name and log.by_epoch
    assert log.train == dict(loss=[(10, 3.0), (20, 2.0)], loss_hint=[(10, 1.0), (20, 0.5)], lr=[(20, 0.1)])
    assert log.val == {'coco/bbox_mAP': [(1, 0.1), (2, 0.2)]}
    assert log.terms == ['loss', 'loss_hint']


def test_what_was_done_again_replaces_what_was_logged_first(tmp_path):
    """A run that is killed in its second epoch, in the middle of a line, and goes on from its first checkpoint."""
    write(tmp_path, '1', trained(5, 5.0), trained(10, 4.0), evaluated(0.1, 10), trained(15, 9.0), trained(20, 9.0),
          evaluated(0.9, 20), trained(25, 9.0), end='\n{"loss": 9')
    write(tmp_path, '2', trained(15, 3.0), trained(20, 2.0), evaluated(0.2, 20))
    log = read_log(tmp_path)
    assert log.train['loss'] == [(5, 5.0), (10, 4.0), (15, 3.0), (20, 2.0)]
    assert log.val['coco/bbox_mAP'] == [(10, 0.1), (20, 0.2)]


def test_a_run_counted_in_iterations_whose_evaluations_are_not(tmp_path):
    """MMEngine's LoggerHook counts evaluations in epochs by default, which stay 0 there."""
    write(tmp_path, '1', trained(50, 5.0), evaluated(0.1, 0), trained(100, 4.0), evaluated(0.2, 0))
    log = read_log(tmp_path, name='mine')
    assert log.val['coco/bbox_mAP'] == [(50, 0.1), (100, 0.2)] and not log.by_epoch and log.name == 'mine'


def test_lines_of_one_iteration_are_both_kept(tmp_path):
    write(tmp_path, '1', trained(1, 5.0), {'diagnostics/hint_cosine': 0.5, 'iter': 1, 'step': 1})
    assert len(log_entries(tmp_path)) == 2
    assert read_log(tmp_path).train['diagnostics/hint_cosine'] == [(1, 0.5)]


def test_nothing_to_read(tmp_path):
    with pytest.raises(FileNotFoundError, match='no json log in .*scalars.json'):
        read_log(tmp_path)
    with pytest.raises(FileNotFoundError, match='gone.* does not exist'):
        read_log(tmp_path / 'gone')
