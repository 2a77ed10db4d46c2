"""What the methods say of themselves is what they do."""
import pytest

from kddet import Distiller
from kddet.preflight.methods import heads_line, method_line
from kddet.project.config import load_config
from kddet.testing import tiny_detector


def distiller(student, teacher=None, width=16, **methods):
    return Distiller(tiny_detector(student), dict(config=dict(model=tiny_detector(teacher or student, width)),
                                                  checkpoint=None), methods)


def line_of(model, name):
    return method_line(name, model.methods[name], model.student)


@pytest.mark.parametrize(('method', 'details'), [
    (dict(type='kddet.FineGrainedImitation', levels=[0, 2]), [
        'neck, strides 8, 32: 16 to 32 channels, 3x3 convolution', 'left out: neck of the student, strides 16, 64, 128',
        'left out: neck of the teacher, strides 16, 64, 128']),
    pytest.param(
        dict(type='kddet.HintLearning', tap='backbone', adapter=dict(relu=True)),
        [f'backbone, stride {4 * 2**i}: {8 * 2**i} to {16 * 2**i} channels, 1x1 convolution and ReLU'
         for i in range(4)], marks=pytest.mark.slow),
    pytest.param(
        dict(type='kddet.AdaptiveDistillation'),
        ['bbox_head, RetinaHead, row by row, classes: 3, strides 8, 16, 32, 64, 128'], marks=pytest.mark.slow),
])
def test_levels_strides_channels_and_adapters(method, details):
    line = line_of(distiller('retinanet', own=method), 'own')
    assert line.details == details
    assert line.verdict == ('note' if any('left out' in detail for detail in details) else 'ok')


@pytest.mark.slow
def test_vectors_of_a_head_have_no_stride():
    model = distiller('faster-rcnn', hint=dict(type='kddet.HintLearning', tap='roi_head.bbox_head.fc_cls:input'))
    assert line_of(model, 'hint').details == ['roi_head.bbox_head.fc_cls:input: 32 to 64 channels, linear layer']


@pytest.mark.slow
def test_levels_that_only_one_of_them_has_are_left_out_with_a_line():
    model = distiller('faster-rcnn', 'retinanet', 8, hint=dict(type='kddet.HintLearning', adapter=None))
    line = line_of(model, 'hint')
    assert line.verdict == 'note' and line.details == [
        'neck, strides 8, 16, 32, 64: 16 to 16 channels, as it is', 'left out: neck of the student, stride 4',
        'left out: neck of the teacher, stride 128']


@pytest.mark.slow
def test_parts_of_a_method_are_told_apart():
    details = line_of(distiller('faster-rcnn', chen=dict(type='kddet.Chen2017')), 'chen').details
    assert [detail.partition(',')[0] for detail in details] == [
        'hint: neck', 'cls: rpn_head', 'cls: roi_head.bbox_head', 'reg: rpn_head', 'reg: roi_head.bbox_head']


def test_parameters_are_those_in_the_optimizer():
    model = distiller('retinanet', hint=dict(type='kddet.HintLearning'), off=dict(type='kddet.HintLearning',
                                                                                loss_weight=0))
    trained = sum(p.numel() for name, p in model.named_parameters() if p.requires_grad and 'methods' in name)
    assert trained == 5 * (16 * 32 + 32)
    assert f'trains {trained:,} parameters' in line_of(model, 'hint').text
    off = line_of(model, 'off')
    assert off.verdict == 'note' and off.remedy == 'off.loss_weight'
    assert off.text.endswith('weight 0, trains nothing of its own: it is never on with loss_weight=0')


def test_the_option_that_keeps_a_method_off_is_named():
    line = line_of(distiller('retinanet', cls=dict(type='kddet.WeightedClassification', mu=1)), 'cls')
    assert line.text.endswith('it is never on with mu=1') and line.remedy == 'cls.mu'


@pytest.mark.slow
def test_heads_and_who_reads_them():
    line = heads_line(distiller('faster-rcnn', hint=dict(type='kddet.HintLearning'),
                                adl=dict(type='kddet.AdaptiveDistillation', heads=['rpn'])))
    assert line.text == ('student FasterRCNN (RPNHead, StandardRoIHead with Shared2FCBBoxHead), teacher FasterRCNN '
                         '(RPNHead, StandardRoIHead with Shared2FCBBoxHead); read by adl')
    line = heads_line(distiller('faster-rcnn', 'retinanet', hint=dict(type='kddet.HintLearning')))
    assert 'no method could: the student (FasterRCNN) has heads' in line.text and line.verdict == 'ok'


def test_levels_of_different_stride_that_meet_are_a_note():
    model = distiller('retinanet', hint=dict(type='kddet.HintLearning', tap='backbone.C2', teacher_tap='neck.P5'),
                      alike=dict(type='kddet.HintLearning', tap='backbone.C3', teacher_tap='neck.P3'))
    line = line_of(model, 'hint')
    assert line.verdict == 'note' and line.text.endswith('levels of different stride meet, 4 with 32')
    assert 'hint.tap and hint.teacher_tap' in line.remedy
    assert line_of(model, 'alike').verdict == 'ok'


@pytest.mark.slow
def test_so_they_are_where_a_method_takes_the_only_level_that_there_is():
    student, teacher = (load_config(f'mmdet::{path}').model for path in (
        'centernet/centernet_r18_8xb16-crop512-140e_coco.py', 'detr/detr_r50_8xb2-150e_coco.py'))
    model = Distiller(student, dict(config=dict(model=teacher), checkpoint=None),
                      dict(chen=dict(type='kddet.Chen2017', cls=None, reg=None)))
    line = line_of(model, 'chen')
    assert line.verdict == 'note' and line.text.endswith('levels of different stride meet, 4 with 32')
    assert line.details == ['hint: neck, stride 4 with 32: 64 to 256 channels, 1x1 convolution']
