"""Weighted classification, teacher-bounded regression, and both with hints in one entry."""
import copy

import pytest
import torch
from mmengine.registry import MODELS
from torch import nn

from kddet import Chen2017, Distiller, Recorder, TeacherBoundedRegression, WeightedClassification
from kddet.losses import teacher_bounded_l2_loss, weighted_soft_binary_cross_entropy, weighted_soft_cross_entropy
from kddet.testing import CONFIGS, tiny_detector, toy_samples
from kddet.testing import training_step as step

FAMILIES = sorted(CONFIGS)
SUFFIXES = {'faster-rcnn': ['_rpn', '_roi'], 'mask-rcnn': ['_rpn', '_roi'],
            'cascade-rcnn': ['_rpn', '_roi_s0', '_roi_s1', '_roi_s2']}


def distiller(family, student=None, **methods):
    torch.manual_seed(0)
    model = Distiller(student or tiny_detector(family), dict(config=dict(model=tiny_detector(family, 16)),
                                                             checkpoint=None), methods)
    model.init_weights()
    return model


def plain(family):
    torch.manual_seed(0)
    model = MODELS.build(dict(tiny_detector(family), _scope_='mmdet'))
    model.init_weights()
    return model


def cls(**options):
    return dict(type='kddet.WeightedClassification', **options)


def reg(**options):
    return dict(type='kddet.TeacherBoundedRegression', **options)


def hard_keys(family):
    two_stage = dict(cascade=['loss_rpn_cls', *(f's{stage}.loss_cls' for stage in range(3))],
                     faster=['loss_rpn_cls', 'loss_cls'], mask=['loss_rpn_cls', 'loss_cls'])
    return two_stage.get(family.split('-')[0], ['loss_cls'])


@pytest.mark.parametrize('family', FAMILIES)
def test_the_hard_term_is_scaled_and_everything_else_is_the_plain_detectors(family):
    """One sampler draw: the student's own numbers are those of the plain detector to the last bit."""
    expected, _ = step(plain(family))
    log, _ = step(distiller(family, soft=cls(mu=0.25), reg=reg()))
    for key, value in expected.items():
        if key in hard_keys(family):
            assert log[key].item() == pytest.approx(0.25 * value.item(), rel=1e-6)
        elif key != 'loss':
            assert torch.equal(log[key], value), key
    assert [key for key in log if key.startswith('loss_soft_')] == (
        [f'loss_soft{suffix}' for suffix in SUFFIXES[family]] if family in SUFFIXES else [])


@pytest.mark.parametrize('family', FAMILIES)
@pytest.mark.parametrize('options', [dict(type='kddet.WeightedClassification', mu=1.0),
                                     dict(type='kddet.Chen2017', loss_weight=0.0)], ids=['mu 1', 'method off'])
def test_weight_zero_is_the_plain_detector_bit_for_bit(family, options):
    expected, gradients = step(plain(family))
    log, own = step(distiller(family, own=options))
    assert all(torch.equal(value, log[key]) for key, value in expected.items())
    assert gradients.keys() == own.keys() and all(torch.equal(value, own[key]) for key, value in gradients.items())


@pytest.mark.parametrize('family', FAMILIES)
def test_one_step_of_all_parts_reaches_the_heads_and_the_adapters(family):
    model = distiller(family, chen=dict(type='kddet.Chen2017', reg=dict(margin=1e3)))
    before = copy.deepcopy(model.teacher.state_dict())
    log, gradients = step(model)
    for suffix in SUFFIXES.get(family, ['']):
        for part in ('cls', 'reg'):
            assert log[f'loss_chen_{part}{suffix}'] > 0, (part, suffix)
    assert log['loss_chen_hint'] > 0
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.methods.parameters())
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert all(torch.equal(value, before[key]) for key, value in model.teacher.state_dict().items())


@pytest.mark.parametrize('family', FAMILIES)
def test_soft_terms_alone_train_the_heads_of_the_student(family):
    """With mu = 0 the class layers get their gradient from the teacher only."""
    model = distiller(family, soft=cls(mu=0.0))
    log, gradients = step(model)
    assert all(log[key] == 0 for key in hard_keys(family))
    names = dict(retinanet='retina_cls', fcos='conv_cls', atss='atss_cls', gfl='gfl_cls').get(family, 'fc_cls')
    assert any(names in name and gradient.abs().sum() > 0 for name, gradient in gradients.items())


def test_values_are_those_of_the_pure_functions():
    model = distiller('faster-rcnn', cls=cls(mu=0.4, background_weight=2.0, temperature=3.0), reg=reg(margin=0.1))
    rows = {}

    def spy(reader, kind, original):
        def read(student, teacher):
            rows[kind, reader.name] = original(student, teacher)
            return rows[kind, reader.name]
        setattr(reader, kind, read)
    for method in model.methods.values():
        for reader in method.readers:
            for kind in ('classification', 'regression'):
                spy(reader, kind, getattr(reader, kind))
    log, _ = step(model)
    rpn, roi = rows['classification', 'rpn'], rows['classification', 'roi']
    assert not rpn.softmax and roi.softmax and roi.student.shape[1] == 4
    expected = weighted_soft_binary_cross_entropy(
        rpn.student, rpn.teacher, background_weight=2, temperature=3, weight=rpn.weights[:, None],
        avg_factor=rpn.num_samples)
    assert log['loss_cls_rpn'].item() == pytest.approx(0.6 * expected.item(), rel=1e-5)
    expected = weighted_soft_cross_entropy(roi.student, roi.teacher, background_weight=2, temperature=3)
    assert log['loss_cls_roi'].item() == pytest.approx(0.6 * expected.item(), rel=1e-5)
    boxes = rows['regression', 'roi']
    expected = teacher_bounded_l2_loss(boxes.student, boxes.teacher, boxes.target, margin=0.1,
                                       avg_factor=len(roi.student))  # over all RoIs, as the hard loss
    assert log['loss_reg_roi'].item() == pytest.approx(0.5 * expected.item(), rel=1e-5) and expected > 0


def test_a_better_student_pays_nothing_and_an_unbounded_one_does():
    bounded, unbounded = (distiller('retinanet', reg=reg(bounded=value)) for value in (True, False))
    for model in (bounded, unbounded):
        nn.init.normal_(model.teacher.detector.bbox_head.retina_reg.weight, std=10)  # wild boxes
    assert step(bounded)[0]['loss_reg'] == 0
    assert step(unbounded)[0]['loss_reg'] > 1


def test_denominator_of_dense_heads():
    """Both are the same sum, over the rows that count and over the positives."""
    terms = []
    for normalizer in ('samples', 'positives'):
        model = distiller('retinanet', soft=cls(dense_normalizer=normalizer))
        reader, = model.methods['soft'].readers
        rows = []

        def read(*records, rows=rows, original=reader.classification):
            rows.append(original(*records))
            return rows[0]
        reader.classification = read
        terms.append(step(model)[0]['loss_soft'].item())
    assert 0 < rows[0].avg_factor < rows[0].num_samples / 10
    assert terms[0] * rows[0].num_samples.item() == pytest.approx(terms[1] * rows[0].avg_factor, rel=1e-4)


def test_loss_weight_goes_from_the_plain_student_to_the_formula():
    expected = step(plain('faster-rcnn'))[0]
    full = step(distiller('faster-rcnn', soft=cls(mu=0.2)))[0]
    half = step(distiller('faster-rcnn', soft=cls(mu=0.2, loss_weight=0.5)))[0]
    assert half['loss_cls'].item() == pytest.approx(0.6 * expected['loss_cls'].item(), rel=1e-6)
    assert half['loss_soft_roi'].item() == pytest.approx(0.5 * full['loss_soft_roi'].item(), rel=1e-6)


def test_a_schedule_scales_the_hard_term_too():
    model = distiller('retinanet', soft=cls(mu=0.2))
    model.methods['soft'].schedule = 0.0
    assert torch.equal(step(model)[0]['loss_cls'], step(plain('retinanet'))[0]['loss_cls'])


@pytest.mark.parametrize('family', ['retinanet', 'cascade-rcnn'])
def test_the_recipe_is_its_three_parts(family):
    whole = step(distiller(family, chen=dict(type='kddet.Chen2017', cls=dict(mu=0.3), reg=dict(margin=1.0),
                                             hint=dict(adapter=dict(kernel_size=3)))))[0]
    torch.manual_seed(0)
    parts = step(distiller(family, hint=dict(type='kddet.HintLearning', adapter=dict(kernel_size=3)),
                           soft=cls(mu=0.3), box=reg(margin=1.0)))[0]
    for key, value in parts.items():
        key = key.replace('loss_hint', 'loss_chen_hint').replace('loss_soft', 'loss_chen_cls')
        assert whole[key.replace('loss_box', 'loss_chen_reg') if 'loss_box' in key else key].item() == pytest.approx(
            value.item(), rel=1e-5), key


@pytest.mark.parametrize('off', ['hint', 'cls', 'reg'])
@pytest.mark.parametrize('how', [None, dict(loss_weight=0.0)])
def test_parts_are_switchable(off, how):
    model = distiller('retinanet', chen=dict(type='kddet.Chen2017', **{off: how}))
    log, _ = step(model)
    assert {key for key in log if 'chen' in key} == {f'loss_chen_{part}' for part in ('hint', 'cls', 'reg')
                                                     if part != off}
    assert model.methods['chen'].compares_classes


def test_features_alone_compare_no_classes():
    assert not Chen2017(cls=None, reg=None).compares_classes


def test_no_ground_truth():
    for family in ('retinanet', 'fcos', 'gfl', 'atss', 'faster-rcnn'):
        log, gradients = step(distiller(family, chen=dict(type='kddet.Chen2017')), toy_samples(boxes=((), ())))
        assert all(value.isfinite().all() for value in log.values()), family
        assert all(log[key] == 0 for key in log if 'chen_reg' in key)


def test_the_low_resolution_student():
    """The paper's second use: a teacher of the same kind that sees the picture at twice the size."""
    for family in ('faster-rcnn', 'retinanet'):
        torch.manual_seed(0)
        model = Distiller(tiny_detector(family), dict(config=dict(model=tiny_detector(family)), checkpoint=None,
                                                      input_scale=2.0),
                          dict(chen=dict(type='kddet.Chen2017'),
                               map=dict(type='kddet.HintLearning', tap='backbone.layer4')))
        model.init_weights()
        with torch.no_grad(), Recorder(model.teacher.detector, ['backbone:input']) as seen, torch.enable_grad():
            log, _ = step(model)
        assert seen.pyramid('backbone:input')[0].shape == (2, 3, 256, 256)
        assert all(value.isfinite().all() for value in log.values())
        assert log['loss_chen_hint'] > 0 and log['loss_map'] > 0
        assert model.methods['map'].pairs == [(0, 0)]  # one map of two sizes: brought together
        assert model.methods['chen'].parts['hint'].pairs[0] == (0, 1)  # pyramids: the level that covers the same


def test_two_methods_that_scale_the_same_loss_are_refused():
    with pytest.raises(ValueError, match="methods 'chen' and 'soft' both scale the 'loss_cls' of the student"):
        distiller('retinanet', chen=dict(type='kddet.Chen2017'), soft=cls())
    distiller('faster-rcnn', one=cls(heads=['rpn']), other=cls(heads=['roi']))


@pytest.mark.parametrize(('build', 'message'), [
    (lambda: WeightedClassification(mu=1.5), 'mu is 1.5, it must be between 0 and 1'),
    (lambda: WeightedClassification(loss_weight=2), 'loss_weight is 2.* at most 1'),
    (lambda: WeightedClassification(dense_normalizer='sum'), "'sum', allowed are"),
    (lambda: TeacherBoundedRegression(margin=-1), 'margin is -1, it must be 0 or more'),
    (lambda: Chen2017(None, None, None), 'all its parts switched off'),
    (lambda: Chen2017(loss_weight=3), 'at most 1'),
])
def test_refuses(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_needs_a_teacher():
    with pytest.raises(ValueError, match='reads the teacher, which is not given'):
        Distiller(tiny_detector('retinanet'), None, dict(soft=cls()))
