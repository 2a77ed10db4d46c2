import copy
import weakref

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS

from kddet import FrozenTeacher
from kddet.testing import tiny_detector, toy_samples


def teacher(name='retinanet', **options):
    return FrozenTeacher(dict(model=tiny_detector(name)), None, **options)


def preprocessor(**changes):
    cfg = dict(type='mmdet.DetDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
               bgr_to_rgb=True, pad_size_divisor=32)
    return MODELS.build(dict(cfg, **changes))


def shapes(records, tap):
    return [tuple(level.shape) for level in records.pyramid(tap)]


def count_calls(detector):
    calls = dict(backbone=0, neck=0, bbox_head=0)
    for name in calls:
        module = getattr(detector, name)
        module.register_forward_hook(lambda *_, name=name: calls.__setitem__(name, calls[name] + 1))
    return calls


@pytest.mark.parametrize(('taps', 'expected'), [
    ([], dict(backbone=0, neck=0, bbox_head=0)),
    (['backbone.layer2'], dict(backbone=1, neck=0, bbox_head=0)),
    (['backbone', 'neck'], dict(backbone=1, neck=1, bbox_head=0)),
    (['bbox_head.retina_cls'], dict(backbone=1, neck=1, bbox_head=1)),
])
def test_runs_no_deeper_than_some_tap_asks(taps, expected):
    frozen = teacher()
    calls = count_calls(frozen.detector)
    frozen.record(torch.rand(1, 3, 64, 64), None, taps)
    assert calls == expected


@pytest.mark.parametrize(('name', 'taps', 'kept'), [
    ('retinanet', ['neck', 'bbox_head'], False), ('faster-rcnn', ['neck'], False),
    ('faster-rcnn', ['neck', 'roi_head.bbox_head'], True)])
def test_nothing_is_kept_that_no_method_reads(name, taps, kept):
    """The maps before a tap would stay in memory through the student's whole forward."""
    frozen, seen = teacher(name), []
    frozen.detector.backbone.register_forward_hook(lambda *call: seen.extend(map(weakref.ref, call[2])))
    frozen.detector.neck.register_forward_hook(lambda *call: seen.extend(map(weakref.ref, call[2])))
    records = frozen.record(torch.rand(1, 3, 64, 64), None, taps)
    assert all(not call.args and not call.kwargs for calls in records.values() for call in calls)
    assert len(seen) == 9 and all(level() is None for level in seen[:4]) and (records.features is not None) == kept


def test_dense_head_taps():
    frozen = teacher()
    records = frozen.record(torch.rand(2, 3, 64, 64), None, ['bbox_head', 'bbox_head.cls_convs.0'])
    assert [tuple(x.shape) for x in records.pyramid('bbox_head', 0)][0] == (2, 27, 8, 8)
    assert shapes(records, 'bbox_head.cls_convs.0')[0] == (2, 16, 8, 8)


def test_rpn_of_a_two_stage_teacher():
    records = teacher('faster-rcnn').record(torch.rand(1, 3, 64, 64), None, ['rpn_head'])
    assert len(records.pyramid('rpn_head', 0)) == 5


def test_what_needs_boxes_is_refused():
    with pytest.raises(ValueError, match='data_preprocessor.* not reached'):
        teacher('faster-rcnn').record(torch.rand(1, 3, 64, 64), None, ['data_preprocessor'])


def test_gradients_may_pass_through():
    frozen = teacher()
    x = torch.rand(1, 3, 64, 64, requires_grad=True)
    frozen.detector.extract_feat(x)[0].sum().backward()
    assert x.grad.abs().sum() > 0 and all(p.grad is None for p in frozen.parameters())


def test_swin_teacher_draws_nothing():
    model = tiny_detector('retinanet')
    model.backbone = dict(type='SwinTransformer', embed_dims=8, depths=(2, 2, 2, 2), num_heads=(1, 1, 2, 2),
                          window_size=4, drop_path_rate=0.9, drop_rate=0.5, attn_drop_rate=0.5)
    model.neck.in_channels = [8, 16, 32, 64]
    frozen = FrozenTeacher(dict(model=model), None)
    frozen.train()
    x = torch.rand(1, 3, 64, 64)
    state = torch.get_rng_state()
    first, second = (frozen.record(x, None, ['neck']).pyramid('neck') for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second))
    assert torch.equal(state, torch.get_rng_state())


def test_the_same_normalisation_gives_the_very_same_tensor():
    frozen = teacher()
    frozen.match_input(preprocessor())
    assert frozen.renormalise is None


@pytest.mark.parametrize('changes', [
    dict(mean=[0., 0., 0.], std=[255., 255., 255.]),
    dict(mean=[103.53, 116.28, 123.675], std=[1., 1., 1.], bgr_to_rgb=False),
    dict(bgr_to_rgb=False, pad_value=3),
    dict(mean=None, std=None, bgr_to_rgb=False),
], ids=['mean and std', 'caffe', 'order alone', 'raw pixels'])
@pytest.mark.parametrize('reverse', [False, True])
def test_another_normalisation_is_what_the_teachers_own_preprocessor_gives(changes, reverse):
    own, other = preprocessor(), preprocessor(**changes)
    student_side, teacher_side = (other, own) if reverse else (own, other)
    frozen = teacher()
    frozen.detector.data_preprocessor = teacher_side
    frozen.match_input(student_side)
    batch = toy_samples()  # two sizes, so one of them is padded
    seen = student_side(copy.deepcopy(batch), True)
    expected = teacher_side(copy.deepcopy(batch), True)['inputs']
    before = seen['inputs'].clone()
    torch.testing.assert_close(frozen.renormalise(seen['inputs'], seen['data_samples']), expected,
                               atol=1e-3, rtol=1e-4)
    assert torch.equal(seen['inputs'], before)  # the student's batch is not touched


def test_checkpoint_is_loaded_whole_or_refused(tmp_path):
    frozen = teacher()
    path = tmp_path / 'teacher.pth'
    state = frozen.detector.state_dict()
    torch.save(dict(state_dict=state), path)
    again = FrozenTeacher(dict(model=tiny_detector('retinanet')), str(path))
    assert all(torch.equal(value, state[key]) for key, value in again.detector.state_dict().items())
    assert len(again.checkpoint_hash) == 12
    damaged = dict(state, extra=torch.zeros(1))
    del damaged['neck.lateral_convs.0.conv.weight']
    damaged['backbone.conv1.weight'] = torch.zeros(1)
    torch.save(dict(state_dict=damaged), path)
    with pytest.raises(ValueError, match=r'1 missing, 1 unexpected, 1 of another shape \(missing: neck.lateral_convs.0.'
                                         r'conv.weight; unexpected: extra; of another shape: backbone.conv1.weight'):
        FrozenTeacher(dict(model=tiny_detector('retinanet')), str(path))
    FrozenTeacher(dict(model=tiny_detector('retinanet')), str(path), strict=False)


def test_yesterdays_distilled_student_can_teach(tmp_path):
    from kddet import Distiller
    student = tiny_detector('retinanet')
    distilled = Distiller(student, dict(config=dict(model=tiny_detector('retinanet', 16)), checkpoint=None),
                          dict(hint=dict(type='kddet.HintLearning')))
    path = tmp_path / 'epoch_1.pth'
    torch.save(dict(state_dict=distilled.state_dict()), path)
    cfg = Config(dict(model=dict(type='kddet.Distiller', student=tiny_detector('retinanet'), methods={})))
    frozen = FrozenTeacher(cfg, str(path))
    assert all(torch.equal(v, distilled.student.state_dict()[k]) for k, v in frozen.detector.state_dict().items())


@pytest.mark.parametrize(('config', 'checkpoint', 'message'), [
    ('no/such/config.py', None, "config 'no/such/config.py' does not exist"),
    (None, 'no/such/file.pth', "checkpoint 'no/such/file.pth' does not exist"),
])
def test_missing_files_are_named(config, checkpoint, message):
    with pytest.raises(FileNotFoundError, match=message):
        FrozenTeacher(config or dict(model=tiny_detector('retinanet')), checkpoint)


def test_lower_precision_changes_little_and_leaves_the_weights():
    exact, rounded = teacher(), teacher(dtype='bfloat16')
    rounded.load_state_dict(exact.state_dict())
    inputs, taps = torch.rand(2, 3, 64, 64), ['neck', 'bbox_head']
    expected, found = (model.record(inputs, None, taps).pyramid('neck') for model in (exact, rounded))
    assert {level.dtype for level in found} == {torch.bfloat16}
    for ours, theirs in zip(found, expected):
        assert (ours.float() - theirs).norm() < 0.02 * theirs.norm()
    assert all(torch.equal(one, other) for one, other in zip(exact.parameters(), rounded.parameters(), strict=True))


def test_roi_heads_stay_in_float32():
    frozen = teacher('faster-rcnn', dtype='bfloat16')
    records = frozen.record(torch.rand(1, 3, 64, 64), None, ['neck', 'roi_head.bbox_head'])
    frozen.replay(records, [torch.tensor([[0., 4, 4, 40, 40]])])
    assert records.pyramid('neck')[0].dtype == torch.bfloat16
    assert records.pyramid('roi_head.bbox_head', 0)[0].dtype == torch.float32


def test_channels_last_is_the_same_in_another_order():
    plain, ordered = teacher(), teacher(channels_last=True)
    ordered.load_state_dict(plain.state_dict())
    inputs = torch.rand(2, 3, 64, 64)
    expected, found = (model.record(inputs, None, ['neck']).pyramid('neck') for model in (plain, ordered))
    assert found[0].is_contiguous(memory_format=torch.channels_last)
    for ours, theirs in zip(found, expected):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="dtype is 'int8', it must be None or one of bfloat16, float16"):
        teacher(dtype='int8')


@pytest.mark.parametrize('changes', [
    {}, dict(mean=[0, 0, 0], std=[255, 255, 255]), dict(bgr_to_rgb=False, mean=[103.53, 116.28, 123.675])])
def test_it_detects_in_the_students_batch_what_it_detects_by_itself(changes):
    cfg = tiny_detector('retinanet')
    cfg.data_preprocessor.update(changes)
    cfg.test_cfg.score_thr = 0.0
    frozen, own = FrozenTeacher(dict(model=cfg), None), preprocessor()
    frozen.match_input(own)
    expected = frozen.detector.val_step(toy_samples())
    batch = own(toy_samples(), False)
    for found, alone in zip(frozen.predict(batch['inputs'], batch['data_samples'], None), expected):
        assert len(alone.pred_instances) == 100
        torch.testing.assert_close(found.pred_instances.scores, alone.pred_instances.scores, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(found.pred_instances.bboxes, alone.pred_instances.bboxes, atol=0.05, rtol=1e-3)


def test_detections_of_a_scaled_input_are_in_pixels_of_the_picture():
    frozen = teacher(input_scale=2.0)
    frozen.detector.bbox_head.test_cfg.score_thr = 0.0
    frozen.match_input(frozen.detector.data_preprocessor)
    batch = frozen.detector.data_preprocessor(toy_samples(sizes=((96, 128),), boxes=((),)), False)
    seen = []
    frozen.detector.backbone.register_forward_pre_hook(lambda _, args: seen.append(tuple(args[0].shape)))
    (found,) = frozen.predict(batch['inputs'], batch['data_samples'], None)
    assert seen == [(1, 3, 192, 256)]
    assert found.pred_instances.bboxes[:, 2].max() <= 128 and found.pred_instances.bboxes[:, 3].max() <= 96
    assert found.pred_instances.bboxes[:, 2].max() > 64  # of the whole picture
    assert found.img_shape == (96, 128) and tuple(found.scale_factor) == (1.0, 1.0)
