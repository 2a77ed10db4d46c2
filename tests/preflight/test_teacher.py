"""Weights, classes and input of the teacher."""
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from kddet import FrozenTeacher
from kddet.preflight.teacher import classes_line, input_lines, weights_line

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
    assert line.verdict == 'note' and '1 missing' in line.text and 'strict=True' in line.remedy


def classes(student, teacher, class_map=None, compared=True):
    def data(names):
        return dict(train_dataloader=dict(dataset=dict(type='CocoDataset', metainfo=dict(classes=names))),
                    model=dict(type='RetinaNet')) if names else dict(model=dict(type='RetinaNet'))
    cfg = Config(dict(data(student), model=dict(type='kddet.Distiller', student={}, teacher=dict(
        config=data(teacher), class_map=class_map))))
    return classes_line(cfg, cfg.model.teacher, compared)


def test_classes_beside_each_other():
    line = classes(('a', 'b'), ('a', 'b'))
    assert line.verdict == 'ok' and line.text == 'the same 2: a, b'
    line = classes(('a', 'b'), ('b', 'c', 'd'), [(1, 0)])
    assert line.verdict == 'note' and line.text == "1 of the student's 2 meet one of the teacher's 3: b"
    assert line.details == ['without a partner in the teacher: a']
    line = classes(('a', 'b'), ('x', 'b'), [(0, 0), (1, 1)])
    assert line.verdict == 'ok' and line.text.endswith(': a = x, b')
    line = classes(('a', 'b'), ('c',), compared=False)
    assert line.verdict == 'ok' and line.details == ['student 2: a, b', 'teacher 1: c']
    line = classes(('a',), None)
    assert line.verdict == 'note' and 'those of the teacher are not known' in line.text
    assert 'and 68 more' in classes([f'c{i}' for i in range(80)], [f'c{i}' for i in range(80)]).text


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
    assert line.verdict == 'ok' and line.text == 'to multiples of 32, for the teacher further to multiples of 128'
    _, line = lines_of(frozen, size=(320, 320))
    assert line.verdict == 'note' and 'pictures of 160 x 160 for both, the teacher was tested at 320 x 320' in line.text
    _, line = lines_of(frozen, size=(320, 320), scale=2.0)
    assert line.verdict == 'ok' and '2 times its size' in line.text
