"""The teacher where the student is validated."""
import copy
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.registry import MODELS

from kddet.project.config import load_config
from kddet.project.evaluation import evaluate
from kddet.teachers.accuracy import OWN_DATA, teacher_accuracy

DIGITS = ('zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine')


class Perfect:
    """A teacher that finds every object and names it by its place in its own list of classes."""

    def __init__(self, classes):
        self.classes, self.asked = classes, 0

    def check_detections(self, student):
        pass

    def predict(self, inputs, samples, student):
        self.asked += 1
        for sample in samples:
            truth = sample.gt_instances
            known = torch.tensor([DIGITS[label] in self.classes for label in truth.labels], dtype=torch.bool)
            truth = truth[known]
            boxes = truth.bboxes.tensor if hasattr(truth.bboxes, 'tensor') else truth.bboxes
            labels = torch.tensor([self.classes.index(DIGITS[label]) for label in truth.labels], dtype=torch.long)
            sample.pred_instances = type(truth)(bboxes=boxes, labels=labels, scores=torch.ones(len(truth)))
        return samples


@pytest.fixture
def perfect(distilled_config):
    """``(cfg, model)`` with a teacher of given classes."""
    def made(classes, **settings):
        cfg = copy.deepcopy(distilled_config)
        teacher = load_config(cfg.model.teacher.config)
        teacher.train_dataloader.dataset.metainfo = dict(classes=classes)
        cfg.model.teacher.update(config=teacher.to_dict(), **settings)
        student = SimpleNamespace(data_preprocessor=MODELS.build(cfg.model.student.data_preprocessor))
        return cfg, SimpleNamespace(teachers={'': Perfect(classes)}, student=student)
    return made


@pytest.mark.parametrize(('classes', 'settings', 'shared'), [
    ([f'c{i}' for i in range(77)] + ['nine', 'two', 'three'], {}, ('two', 'three', 'nine')),
    pytest.param(DIGITS, {}, None, marks=pytest.mark.slow),
    pytest.param(DIGITS[::-1], {}, DIGITS, marks=pytest.mark.slow),
    pytest.param(('cat', 'nine', 'three'), dict(class_map=[(9, 1)]), ('nine',), marks=pytest.mark.slow),
    pytest.param(('cat', 'nine', 'three'), dict(class_map='auto'), ('three', 'nine'), marks=pytest.mark.slow),
])
def test_labels_become_the_students(perfect, classes, settings, shared):
    cfg, model = perfect(classes, **settings)
    found = teacher_accuracy(cfg, model=model, cache=None)
    truth = json.loads(Path(cfg.val_evaluator.ann_file).read_text())
    names = {category['id']: category['name'] for category in truth['categories']}
    present = {names[box['category_id']] for box in truth['annotations']}.intersection(shared or DIGITS)
    assert found.of_classes == (shared and list(shared))
    assert found.classes == dict.fromkeys(present, 1.0) and len(present) >= min(3, len(shared or DIGITS))
    assert found.mean_ap == pytest.approx(1)


@pytest.mark.slow
def test_measured_once_and_anew_where_something_differs(perfect, tmp_path):
    cfg, model = perfect(DIGITS)
    first = teacher_accuracy(cfg, model=model, images=2, cache=tmp_path / 'cache')
    asked = model.teachers[''].asked
    assert teacher_accuracy(cfg, model=model, images=2, cache=tmp_path / 'cache') == first
    assert model.teachers[''].asked == asked
    (file,) = (tmp_path / 'cache').iterdir()
    assert json.loads(file.read_text())['evaluation']['images'] == 2
    teacher_accuracy(cfg, model=model, images=3, cache=tmp_path / 'cache')
    cfg.val_dataloader.dataset.pipeline[1].scale = (64, 64)
    teacher_accuracy(cfg, model=model, images=2, cache=tmp_path / 'cache')
    assert len(list((tmp_path / 'cache').iterdir())) == 3 and model.teachers[''].asked > 2 * asked
    for file in (tmp_path / 'cache').iterdir():
        file.write_text('{}')
    assert teacher_accuracy(cfg, model=model, images=2, cache=tmp_path / 'cache').mean_ap == 1


@pytest.mark.slow
def test_without_a_common_class_its_own_data_is_taken(perfect):
    cfg, _ = perfect(('cat', 'dog'))
    detector = MODELS.build(load_config(cfg.model.teacher.config).model)
    detector.load_state_dict(torch.load(cfg.model.teacher.checkpoint)['state_dict'])
    found = teacher_accuracy(cfg, images=1, cache=None)
    assert found.where == OWN_DATA
    assert found.metrics == evaluate(detector, load_config(cfg.model.teacher.config), images=1).metrics
    cfg.model.teacher.config.val_dataloader.dataset.ann_file = 'gone.json'
    with pytest.raises(ValueError, match='no class in common by name: .*cat, dog.*its own config is not there'):
        teacher_accuracy(cfg, images=1, cache=None)


def test_refuses(distilled_config):
    cfg = copy.deepcopy(distilled_config)
    cfg.model.teacher.checkpoint = None
    with pytest.raises(ValueError, match='has no checkpoint'):
        teacher_accuracy(cfg)
    cfg.model.teacher = None
    with pytest.raises(ValueError, match='there is no teacher'):
        teacher_accuracy(cfg)


def test_a_teacher_with_a_cache_is_measured_as_one_without(distilled_config, tmp_path):
    cfg = copy.deepcopy(distilled_config)
    expected = teacher_accuracy(cfg, images=1, cache=None)
    cfg.model.teacher.cache = dict(dir=str(tmp_path))
    assert teacher_accuracy(cfg, images=1, cache=None) == expected
