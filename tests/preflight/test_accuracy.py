"""The verdict on what the teacher finds."""
import copy
from types import SimpleNamespace

import pytest
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS, MODELS

from kddet.preflight.accuracy import accuracy_line
from kddet.project.evaluation import Evaluation

TRAINED, UNTRAINED = (SimpleNamespace(teachers={'': SimpleNamespace(trained=known)}) for known in (True, False))


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
    line = accuracy_line({}, TRAINED, 50)
    assert line.verdict == verdict and says in line.text
    assert bool(line.remedy) == (verdict != 'ok')


def test_threshold_and_switch(monkeypatch):
    monkeypatch.setattr('kddet.preflight.accuracy.teacher_accuracy', lambda *_, **__: found(0.2))
    assert accuracy_line({}, TRAINED, 50, 0.3).verdict == 'stop'
    assert accuracy_line({}, TRAINED, 50, 0).verdict == 'ok'
    monkeypatch.undo()
    for model, images, text in ((TRAINED, 0, 'not measured'), (UNTRAINED, 50, 'not measured: its weights are random')):
        assert accuracy_line({}, model, images).verdict == accuracy_line({}, model, images, 0).verdict == 'note'
        line = accuracy_line({}, model, images, 0.3)
        assert line.verdict == 'stop' and line.text == f'{text}, and --min-teacher-map 0.3 is asked for'
        assert 'leave --min-teacher-map out' in line.remedy


@METRICS.register_module()
class Fails(BaseMetric):
    """A metric that raises at the given place, or where it did not get all four images."""
    default_prefix = 'own'

    def __init__(self, at):
        super().__init__()
        self.at = at
        assert at != 'settings'

    def process(self, data_batch, data_samples):
        assert self.at != 'image', 'ground truth is required'
        self.results += data_samples

    def compute_metrics(self, results):
        assert self.at != 'end' and (self.at != 'part' or len(results) == 4), 'not all'
        return dict(mAP=0.5)


@pytest.mark.parametrize(('at', 'verdict', 'says'), [
    ('settings', 'stop', 'val_evaluator fails, as it would in the first validation: AssertionError'),
    ('image', 'stop', 'first validation: AssertionError: ground truth is required'),
    ('end', 'stop', 'first validation: AssertionError: not all'),
    ('part', 'ok', 'the teacher has mAP 0.500 on 4 of 4 images'),
    ('nowhere', 'ok', 'mAP 0.500 on 2 of 4 images'),
])
def test_an_evaluation_that_fails_stops_the_run(distilled_config, at, verdict, says):
    cfg = copy.deepcopy(distilled_config)
    cfg.val_evaluator = dict(type='Fails', at=at)
    line = accuracy_line(cfg, MODELS.build(cfg.model), 2, 0.2, None)
    assert line.verdict == verdict and says in line.text
