"""The verdict on what the teacher finds."""
from types import SimpleNamespace

import pytest

from kddet.preflight.accuracy import accuracy_line
from kddet.project.evaluation import Evaluation

TRAINED = SimpleNamespace(teachers={'': SimpleNamespace(trained=True)})


def found(mean_ap, **more):
    return Evaluation({'coco/bbox_mAP': mean_ap}, {}, 50, 5000, **more)


@pytest.mark.parametrize(('result', 'verdict', 'says'), [
    (found(0.4), 'ok', 'mAP 0.400 on 50 of 5000 images of the validation data'),
    (found(0.01), 'ok', 'mAP 0.010'),
    (found(0.009), 'stop', 'mAP 0.009 on 50 of 5000 images of the validation data, less than 0.01'),
    (Evaluation({}, {}, 50, 5000), 'stop', 'mAP 0.000'),
    (found(0.4, of_classes=['a', 'b']), 'ok', '2 classes'),
    (found(0.4, where="the teacher's own validation data"), 'ok', "of the teacher's own validation data"),
    (found(-1), 'note', 'no mAP on 50'),
    (FileNotFoundError('val.json'), 'stop', 'the validation data is not there: val.json'),
    (ValueError('the config has no validation data'), 'note', 'not measured: the config has no validation data'),
    (KeyError('own'), 'note', "not measured: KeyError: 'own'"),
])
def test_a_teacher_that_finds_nothing_stops_the_run(monkeypatch, result, verdict, says):
    def measured(*_, **__):
        if isinstance(result, Exception):
            raise result
        return result
    monkeypatch.setattr('kddet.preflight.accuracy.teacher_accuracy', measured)
    line = accuracy_line({}, TRAINED, 50, 0.01)
    assert line.verdict == verdict and says in line.text
    assert bool(line.remedy) == (verdict != 'ok')


def test_threshold_and_switch(monkeypatch):
    monkeypatch.setattr('kddet.preflight.accuracy.teacher_accuracy', lambda *_, **__: found(0.2))
    assert accuracy_line({}, TRAINED, 50, 0.3).verdict == 'stop'
    assert accuracy_line({}, TRAINED, 50, 0).verdict == 'ok'
    monkeypatch.undo()
    assert accuracy_line({}, TRAINED, 0, 0.3).verdict == 'note'
    untrained = SimpleNamespace(teachers={'': SimpleNamespace(trained=False)})
    assert accuracy_line({}, untrained, 50, 0.3).text == 'not measured: its weights are random'
