"""Detections of a teacher that gives a head's maps: those of the detector that they were exported from."""
import json

import pytest
import torch
from mmengine.registry import MODELS

from kddet import ExternalTeacher, FrozenTeacher
from kddet.preflight.accuracy import accuracy_line
from kddet.project.overlay import distillation_config
from kddet.teachers.accuracy import teacher_accuracy
from kddet.teachers.base import NoDetections
from kddet.testing import tiny_detector, toy_samples

from .test_teacher import exported, trained

METHODS = dict(adl=dict(type='kddet.AdaptiveDistillation'))


def student_of(family, **options):
    return MODELS.build(dict(tiny_detector(family, **options), _scope_='mmdet')).eval()


def both(folder, family, **options):
    """``(student, external teacher, the detector itself as a teacher)``."""
    cfg, detector = trained(family, **options)
    torch.save(dict(state_dict=detector.state_dict()), folder / 'teacher.pth')
    student, file = student_of(family), exported(detector, folder, 'bbox_head')
    teachers = ExternalTeacher(file), FrozenTeacher(dict(model=cfg), str(folder / 'teacher.pth'))
    for teacher in teachers:
        teacher.match_input(student.data_preprocessor)
    return student, *teachers


def found(teacher, student, sizes=((96, 160), (90, 100))):
    batch = student.data_preprocessor(toy_samples(sizes=sizes), False)
    samples = teacher.predict(batch['inputs'], batch['data_samples'], student)
    return [(own.bboxes, own.labels, own.scores) for own in (sample.pred_instances for sample in samples)]


@pytest.mark.parametrize(('family', 'options'), [
    ('retinanet', dict(num_classes=5)), pytest.param('retinanet', {}, marks=pytest.mark.slow),
    pytest.param('gfl', {}, marks=pytest.mark.slow), pytest.param('gfl', dict(num_classes=5), marks=pytest.mark.slow)])
def test_they_are_those_of_the_detector_itself(tmp_path, family, options):
    student, external, frozen = both(tmp_path, family, **options)
    own, expected = found(external, student), found(frozen, student)
    assert all(len(labels) for _, labels, _ in expected)
    for pair in zip(own, expected, strict=True):
        for value, reference in zip(*pair, strict=True):
            torch.testing.assert_close(value, reference, rtol=0, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize('family', ['fcos', 'atss'])
def test_the_factor_beside_the_scores_is_left_out(tmp_path, family):
    """As FCOS without centerness: with all factors at 1."""
    student, external, frozen = both(tmp_path, family)
    with torch.no_grad():
        frozen.detector.bbox_head.conv_centerness.weight.zero_() if family == 'fcos' else \
            frozen.detector.bbox_head.atss_centerness.weight.zero_()
        (frozen.detector.bbox_head.conv_centerness if family == 'fcos' else
         frozen.detector.bbox_head.atss_centerness).bias.fill_(100)
    for pair in zip(found(external, student), found(frozen, student), strict=True):
        for value, reference in zip(*pair, strict=True):
            torch.testing.assert_close(value, reference)


@pytest.mark.slow
def test_the_batch_is_scaled_and_the_boxes_are_not(tmp_path):
    _, external, frozen = both(tmp_path, 'retinanet')
    external.input_scale = frozen.input_scale = 2.0
    student = student_of('retinanet')
    for pair in zip(found(external, student), found(frozen, student), strict=True):
        for value, reference in zip(*pair, strict=True):
            torch.testing.assert_close(value, reference)


def test_the_student_keeps_its_head(tmp_path):
    student, external, _ = both(tmp_path, 'retinanet', num_classes=5)
    before = json.dumps({key: str(value) for key, value in vars(student.bbox_head).items()})
    found(external, student)
    assert student.bbox_head.num_classes == 3
    assert before == json.dumps({key: str(value) for key, value in vars(student.bbox_head).items()})
    assert not [name for name, _ in external.named_modules() if 'decoder' in name]  # it is not frozen with the teacher
    assert all(parameter.requires_grad for parameter in student.bbox_head.parameters())


def test_what_cannot_be_decoded_is_said(tmp_path):
    student, external, _ = both(tmp_path, 'retinanet')
    neck = ExternalTeacher(exported(trained()[1], tmp_path))
    resized = ExternalTeacher(exported(trained()[1], tmp_path, 'bbox_head'), input_size=(64, 64))
    for teacher, other, message in (
            (neck, student, r'gives neck \(5 levels\) and no detections; maps cls and reg'),
            (external, student_of('faster-rcnn'), r"heads \['dense'\] are not in the student \(FasterRCNN\)"),
            (external, student_of('fcos'), 'need the levels, anchors or points and channels'),
            (resized, student, 'cannot be read where the batch is resized')):
        with pytest.raises(NoDetections, match=message):
            teacher.check_detections(other)


def test_its_accuracy_is_measured_once_and_kept(plain_config, tmp_path, monkeypatch):
    detector = MODELS.build(plain_config.model)
    torch.save(dict(state_dict=detector.state_dict()), tmp_path / 'teacher.pth')
    plain_config.dump(tmp_path / 'teacher.py')
    settings = (dict(config=str(tmp_path / 'teacher.py'), checkpoint=str(tmp_path / 'teacher.pth')),
                dict(type='kddet.ExternalTeacher', model=exported(detector.eval(), tmp_path, 'bbox_head')))
    frozen, external = (distillation_config(plain_config, teacher=teacher, methods=METHODS) for teacher in settings)
    measured = teacher_accuracy(external, images=4, cache=tmp_path / 'cache')
    assert measured == teacher_accuracy(frozen, images=4, cache=None)
    model = MODELS.build(external.model)
    monkeypatch.setattr(type(model.teacher), 'predict', None)
    assert teacher_accuracy(external, images=4, model=model, cache=tmp_path / 'cache') == measured
    assert len(list((tmp_path / 'cache').glob('teacher-*.json'))) == 1
    line = accuracy_line(external, model, 4, 0, str(tmp_path / 'cache'))
    assert line.verdict == 'ok' and f'mAP {measured.mean_ap:.3f}' in line.text
