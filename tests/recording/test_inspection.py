import pytest
import torch
from mmengine.registry import MODELS

from kddet.project.config import build_detector, load_config
from kddet.recording.inspection import fitting_size, tappable
from kddet.recording.pairing import pairing
from kddet.testing import tiny_detector


def detector(family='retinanet', **options):
    return MODELS.build(dict(tiny_detector(family, **options), _scope_='mmdet')).eval()


def of_mmdet(path):
    return build_detector(load_config(f'mmdet::{path}'))


def inspected(model, size, depth=2):
    found, missing = tappable(model, size, depth)
    return {own.name: own for own in found}, missing


def test_modules_are_listed_in_order_with_their_words():
    found, missing = inspected(detector('faster-rcnn'), (128, 192))
    assert found['neck'].shapes[0] == (16, 32, 48) and not missing
    assert found['neck'].words == ['neck.P2', 'neck.P3', 'neck.P4', 'neck.P5', 'neck.P6']
    assert found['backbone.layer2'].kind == 'ResLayer' and found['rpn_head.rpn_conv'].calls == 5
    assert found['roi_head.bbox_head'].words == ['roi', 'roi.cls', 'roi.reg']
    assert '16x32x48 /4' in found['neck'].line() and 'neck.P2' in found['neck'].line()
    assert not any(name.count('.') > 1 for name in found)


def test_strides_are_those_of_the_words_where_sides_are_no_multiples_of_them():
    neck = inspected(detector(), (500, 333))[0]['neck']
    assert neck.words == [f'neck.P{n}' for n in range(3, 8)]
    assert neck.strides == [[8, 16, 32, 64, 128]] and '16x8x6 /64, 16x4x3 /128' in neck.line()


@pytest.mark.parametrize(('family', 'head', 'given'), [
    ('fcos', 'bbox_head', '3, 4, 1 channels x 5 levels, strides 8 to 128   = cls, reg'),
    ('faster-rcnn', 'rpn_head', '3, 12 channels x 5 levels, strides 4 to 64   = rpn, rpn.cls, rpn.reg')])
def test_a_head_of_many_maps_is_one_line(family, head, given):
    line = inspected(detector(family), (256, 256))[0][head].line()
    assert line.endswith(given) and len(line) < 140


def test_every_stage_of_a_cascade_has_words():
    found, missing = inspected(detector('cascade-rcnn'), (128, 128), 3)
    assert found['roi_head.bbox_head.1'].words == ['roi.1', 'roi.1.cls', 'roi.1.reg'] and not missing


def test_what_is_not_reached_is_said():
    found, missing = inspected(detector('mask-rcnn'), (128, 128))
    assert 'roi_head.bbox_head' in found
    assert missing == ['not reached: roi_head.mask_head (FCNMaskHead): RoIs are run through extractor and box head '
                       'alone']


@pytest.mark.slow
def test_of_a_transformer_backbone_and_neck_are_reached():
    found, missing = inspected(of_mmdet('detr/detr_r50_8xb2-150e_coco.py'), (64, 64))
    assert found['neck'].words == ['neck.P5']
    assert len(missing) == 2 and missing[0].startswith('not reached: bbox_head (DETRHead): ')
    assert 'encoder (DetrTransformerEncoder), decoder (DetrTransformerDecoder)' in missing[1]


@pytest.mark.slow
def test_of_stages_that_see_more_than_rois_it_is_said_that_they_are_not_compared():
    missing = inspected(of_mmdet('htc/htc_r50_fpn_1x_coco.py'), (64, 64))[1]
    assert 'roi_head.semantic_head (FusedSemanticHead)' in missing[0]
    assert missing[1].startswith('not to be compared: roi_head: HybridTaskCascadeRoIHead')


@pytest.mark.slow
@pytest.mark.parametrize(('path', 'words'), [
    ('yolo/yolov3_mobilenetv2_8xb24-ms-416-300e_coco.py', ['cls']),
    ('centernet/centernet_r18_8xb16-crop512-140e_coco.py', ['cls', 'reg']),
    ('yolox/yolox_tiny_8xb8-300e_coco.py', ['cls', 'reg']), ('rtmdet/rtmdet_tiny_8xb32-300e_coco.py', ['cls', 'reg'])])
def test_words_are_of_what_the_head_gives(path, words):
    assert inspected(of_mmdet(path), (64, 64), 1)[0]['bbox_head'].words == words


@pytest.mark.slow
def test_an_image_that_is_too_small_is_said_and_a_fitting_one_found():
    model = of_mmdet('ssd/ssd300_coco.py')
    line, = inspected(model, (256, 256), 1)[1]
    assert line.startswith('not reached: neck (SSDNeck), bbox_head (SSDHead): ')
    assert line.endswith('--shape HEIGHT WIDTH gives it a larger one')
    assert fitting_size([detector()]) == (256, 256) and fitting_size([detector(), model]) == (300, 300)
    found, missing = inspected(model, (300, 300), 1)
    assert found['neck'].strides == [[8, 16, 32, 64, 100, 300]] and not missing
    assert found['neck'].words == ['neck.P3', 'neck.P4', 'neck.P5', 'neck.P6']
    assert found['bbox_head'].words == ['cls', 'reg']


def test_pairing_by_stride():
    lines = pairing(detector('faster-rcnn'), detector('retinanet', width=16), (256, 256))
    assert 'neck level 0, stride 4: student 16 channels, no partner in the teacher' in lines
    assert 'neck level 1, stride 8: student 16 channels, teacher level 0 with 32 channels, stride 8' in lines
    assert 'backbone level 3, stride 32: student 64 channels, teacher level 3 with 128 channels, stride 32' in lines


def test_pairs_of_different_stride_are_marked():
    student, teacher = (detector() for _ in range(2))
    student.neck, teacher.neck = torch.nn.Identity(), torch.nn.Identity()
    student.backbone.out_indices, teacher.backbone.out_indices = (0,), (3,)
    lines = pairing(student, teacher, (256, 256))
    assert lines[0] == ('backbone level 0, stride 4: student 8 channels, teacher level 0 with 64 channels, stride 32: '
                        'the strides differ')
