"""Weights and input of the teacher."""
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from kddet import FrozenTeacher
from kddet.preflight.teacher import input_lines, weights_line

PREPROCESSOR = dict(type='mmdet.DetDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
                    bgr_to_rgb=True, pad_size_divisor=32)


MODEL = dict(type='RetinaNet', data_preprocessor=PREPROCESSOR,
             backbone=dict(type='ResNet', depth=18, base_channels=8),
             neck=dict(type='FPN', in_channels=[8, 16, 32, 64], out_channels=8, num_outs=4),
             bbox_head=dict(type='FCOSHead', num_classes=2, in_channels=8, feat_channels=8, stacked_convs=1,
                            strides=[4, 8, 16, 32], norm_cfg=None))


@pytest.fixture
def weights():
    init_default_scope('mmdet')
    return MODELS.build(MODEL).state_dict()


def teacher(checkpoint=None):
    return FrozenTeacher(dict(model=MODEL), checkpoint, strict=False)


def test_coverage_and_hash(weights, tmp_path):
    assert weights_line(teacher()).verdict == 'note'
    torch.save(dict(state_dict=weights), tmp_path / 'whole.pth')
    line = weights_line(teacher(str(tmp_path / 'whole.pth')))
    assert line.verdict == 'ok' and f'{len(weights)} of {len(weights)} tensors loaded, sha256 ' in line.text
    del weights['neck.fpn_convs.0.conv.weight']
    torch.save(dict(state_dict=weights), tmp_path / 'part.pth')
    line = weights_line(teacher(str(tmp_path / 'part.pth')))
    assert line.verdict == 'note' and '1 missing' in line.text and 'without strict=False' in line.remedy


def test_weights_that_are_no_numbers_stop_the_run(weights, tmp_path):
    weights['neck.fpn_convs.0.conv.weight'][0, 0] = float('nan')
    weights['backbone.bn1.running_var'][0] = float('inf')
    torch.save(dict(state_dict=weights), tmp_path / 'nan.pth')
    line = weights_line(teacher(str(tmp_path / 'nan.pth')))
    assert line.verdict == 'stop' and line.remedy
    assert line.text.startswith('2 of its tensors hold nan or inf, the first is neck.fpn_convs.0.conv.weight: ')


def lines_of(frozen, size=None, scale=1.0, **changes):
    own, other = (MODELS.build(dict(PREPROCESSOR, **more)) for more in ({}, changes))
    frozen.detector.data_preprocessor, frozen.input_scale = other, scale
    frozen.match_input(own)

    def data(side):
        return dict(val_dataloader=dict(dataset=dict(type='CocoDataset', pipeline=[
            dict(type='Load'), dict(type='Resize', scale=side)])))
    cfg = Config(dict(data((160, 160)), model=dict(teacher=dict(config=dict(data(size or (160, 160)),
                                                                            model=dict(type='RetinaNet'))))))
    return input_lines(cfg, cfg.model.teacher, own, frozen)


def test_input():
    frozen = teacher()
    (line,) = lines_of(frozen)
    assert line.verdict == 'ok' and line.text == ('normalised alike: mean 123.7 116.3 103.5, std 58.4 57.12 57.38, RGB')
    (line,) = lines_of(frozen, mean=[0, 0, 0], std=[1, 1, 1], bgr_to_rgb=False)
    assert line.details[1] == 'teacher: mean 0 0 0, std 1 1 1, channels as they are loaded'
    _, line = lines_of(frozen, pad_size_divisor=128)
    assert line.verdict == 'ok' and line.text == ('to multiples of 32, for the teacher further to multiples of 128 '
                                                  '(pad_size_divisor)')
    _, line = lines_of(frozen, size=(320, 320))
    assert line.verdict == 'note' and 'pictures of 160 x 160 for both, the teacher was tested at 320 x 320' in line.text
    _, line = lines_of(frozen, size=(320, 320), scale=2.0)
    assert line.verdict == 'ok' and '2 times its size' in line.text


@pytest.mark.parametrize(('changes', 'named'), [
    (dict(mean=[0, 0, 0]), 'mean'), (dict(std=[1, 1, 1]), 'std'), (dict(bgr_to_rgb=False), 'mean, std, bgr_to_rgb'),
    (dict(bgr_to_rgb=False, mean=[103.53, 116.28, 123.675], std=[57.375, 57.12, 58.395]), 'bgr_to_rgb'),
    (dict(mean=[0, 0, 0], std=[1, 1, 1]), 'mean, std')])
def test_what_differs_of_the_pixels_is_named(changes, named):
    """A mean belongs to a channel: in the other order of channels it is the same if its numbers are reversed."""
    (line,) = lines_of(teacher(), **changes)
    assert line.text == f"the student's batch is normalised again for the teacher: other {named}"


def test_padding_that_differs_is_named_whoever_has_the_larger():
    _, line = lines_of(teacher(), pad_size_divisor=1)
    assert line.text == 'to multiples of 32, which are those of 1, as the teacher was padded (pad_size_divisor)'


@pytest.mark.parametrize(('augment', 'said'), [
    (dict(type='BatchSyncRandomResize', random_size_range=(480, 800), interval=10),
     'resized in the student, in training, to sizes from 480 to 800 (BatchSyncRandomResize)'),
    (dict(type='mmdet.BatchFixedSizePad', size=(640, 512)),
     'brought to 640 x 512 in the student, in training (BatchFixedSizePad)')])
@pytest.mark.parametrize('place', ['student', 'beside it'])
def test_a_batch_that_is_resized_in_the_student(augment, said, place):
    own, frozen = MODELS.build(PREPROCESSOR), teacher()
    frozen.match_input(own)
    preprocessor = dict(batch_augments=[dict(type='Mosaic'), augment])
    cfg = Config(dict(model=dict(student=dict(data_preprocessor=preprocessor))) if place == 'student' else
                 dict(model=dict(student=dict(type='YOLOX')), data_preprocessor=preprocessor))
    (line,) = input_lines(cfg, {}, own, frozen)
    assert line.details == [f'{said}; the teacher gets the same tensor']


def test_remedies_name_the_flag_and_the_setting_of_this_teacher():
    frozen = teacher()
    assert "--teacher-options input_scale=2.0, in a config teacher=dict(input_scale=2.0)" in lines_of(
        frozen, size=(320, 320))[1].remedy
    cfg = Config(dict(val_dataloader=dict(dataset=dict(type='CocoDataset', pipeline=[dict(scale=(9, 9))]))))
    other = dict(config=dict(dict(val_dataloader=dict(dataset=dict(type='CocoDataset', pipeline=[dict(scale=(8, 8))]))),
                             model=dict(type='RetinaNet')))
    assert '--teacher-options large.input_scale=2.0, in a config large=dict(' in input_lines(
        cfg, other, MODELS.build(PREPROCESSOR), frozen, 'large')[1].remedy
