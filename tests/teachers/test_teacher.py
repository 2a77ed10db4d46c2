"""Several teachers in one Distiller."""
import copy

import pytest
import torch
from mmengine.registry import MODELS

from kddet import MODELS as OWN
from kddet import Distiller, DistillMethod
from kddet.cache import Replay
from kddet.testing import tiny_detector, toy_samples, training_step


@OWN.register_module(force=True)
class OfTheStudent(DistillMethod):
    """Reads no teacher."""
    student_taps = ('neck',)

    def forward(self, student, teacher, samples):
        return dict(loss=student.pyramid('neck')[0].square().mean())


def settings(family='retinanet', width=16, **more):
    return dict(config=dict(model=tiny_detector(family, width)), checkpoint=None, **more)


def distiller(methods, family='retinanet', **teaching):
    torch.manual_seed(0)
    model = Distiller(tiny_detector(family), methods=methods, **teaching)
    model.init_weights()
    return model


def hint(**options):
    return dict(type='kddet.HintLearning', **options)


def adl(**options):
    return dict(type='kddet.AdaptiveDistillation', **options)


def runs(model, part='backbone'):
    """Calls of a part of each teacher's detector and of the student's, by name."""
    calls = dict.fromkeys([*model.teachers, 'student'], 0)

    def count(name):
        def hook(*_):
            calls[name] += 1
        return hook
    for name, detector in [*((name, teacher.detector) for name, teacher in model.teachers.items()),
                           ('student', model.student)]:
        getattr(detector, part).register_forward_hook(count(name))
    return calls


def equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(torch.as_tensor(value), torch.as_tensor(second[key]))
                                                 for key, value in first.items())


@pytest.mark.parametrize(('family', 'methods'), [
    ('retinanet', dict(adl=adl(), near=hint())),
    pytest.param('faster-rcnn', dict(near=hint(), soft=dict(type='kddet.WeightedClassification', heads=['roi'])),
                 marks=pytest.mark.slow)])
def test_two_that_are_identical_with_a_method_each_are_one_with_both_bit_for_bit(family, methods):
    first, second = methods
    one = distiller(methods, family, teacher=settings(family))
    two = distiller({first: dict(methods[first], teacher='b'), second: dict(methods[second], teacher='a')}, family,
                    teachers=dict(b=settings(family), a=settings(family)))
    assert equal(two.teachers['a'].state_dict(), one.teacher.state_dict())
    assert equal(one.state_dict(), two.state_dict())
    for expected, found in zip(training_step(one), training_step(two)):
        assert equal(expected, found)


def test_each_has_settings_and_a_term_of_its_own():
    """The same method on two teachers that see another input each gives what it gives on each alone."""
    teaching = dict(same=settings(), other=settings(width=8, input_scale=2.0, class_map=[(0, 2), (2, 1)]))
    teaching['other']['config']['model']['data_preprocessor'].update(mean=[0, 0, 0], std=[1, 1, 1], pad_size_divisor=64)
    both = distiller(dict(adl_same=adl(teacher='same'), adl_other=adl(teacher='other')), teachers=teaching)
    assert both.teachers['same'].renormalise is None and both.teachers['other'].renormalise is not None
    log, _ = training_step(both)
    for name, own in teaching.items():
        alone, _ = training_step(distiller(dict(adl=adl()), teacher=own))
        assert log[f'loss_adl_{name}'] == alone['loss_adl'] > 0
    assert log['loss_adl_same'] != log['loss_adl_other']


def test_each_runs_as_deep_as_its_own_methods_ask_and_not_while_they_are_off():
    model = distiller(dict(near=hint(teacher='shallow', tap='backbone.layer2'), adl=adl(teacher='deep')),
                      teachers=dict(deep=settings(), shallow=settings()))
    backbones, heads = runs(model), runs(model, 'bbox_head')
    training_step(model)
    assert backbones == dict(deep=1, shallow=1, student=1) and heads == dict(deep=1, shallow=0, student=1)
    model.methods['adl'].schedule = 0.0
    training_step(model)
    assert backbones == dict(deep=1, shallow=2, student=2) and heads['deep'] == 1
    model.methods['near'].schedule = 0.0
    training_step(model)
    assert backbones == dict(deep=1, shallow=2, student=3)


def test_weight_0_is_the_plain_detector_bit_for_bit():
    torch.manual_seed(0)
    plain = MODELS.build(dict(tiny_detector('retinanet'), _scope_='mmdet'))
    plain.init_weights()
    expected = training_step(plain), torch.rand(3)
    model = distiller(dict(near=hint(teacher='a', loss_weight=0.0), adl=adl(teacher='b', loss_weight=0.0)),
                      teachers=dict(a=settings(), b=settings(width=8)))
    (log, gradients), drawn = training_step(model), torch.rand(3)
    assert equal(expected[0][1], gradients) and torch.equal(expected[1], drawn)
    assert all(torch.equal(torch.as_tensor(value), torch.as_tensor(log[key])) for key, value in expected[0][0].items())


def test_they_are_outside_of_the_tree_and_copies_share_them():
    model = distiller(dict(near=hint(teacher='a'), far=hint(teacher='b')), teachers=dict(a=settings(), b=settings()))
    teachers = {id(p) for teacher in model.teachers.values() for p in teacher.parameters()}
    assert teachers and not teachers & {id(p) for p in model.parameters()}
    assert not any('teacher' in key for key in model.state_dict())
    twin = copy.deepcopy(model)
    assert all(twin.teachers[name] is teacher for name, teacher in model.teachers.items())
    twin.to('meta')
    assert {p.device.type for teacher in model.teachers.values() for p in teacher.parameters()} == {'cpu'}
    model.double()
    assert {p.dtype for teacher in model.teachers.values() for p in teacher.parameters()} == {torch.float64}


@pytest.mark.slow
def test_the_order_in_which_they_are_written_changes_nothing():
    found = []
    for names in (['a', 'b'], ['b', 'a']):
        teachers = dict(a=settings(), b=settings(width=8))
        model = distiller(dict(near=hint(teacher='a'), far=hint(teacher='b')),
                          teachers={name: teachers[name] for name in names})
        assert list(model.teachers) == ['a', 'b']
        found.append((model.state_dict(), *training_step(model)))
    assert all(equal(*pair) for pair in zip(*found))


def test_a_method_without_a_teacher_beside_them_and_who_teaches_what():
    model = distiller(dict(near=hint(teacher='a'), own=dict(type='kddet.OfTheStudent')), teachers=dict(a=settings()))
    assert training_step(model)[0]['loss_own'] > 0
    assert model.teacher_of('near') is model.teachers['a'] is model.teacher and model.teacher_of('own') is None
    model = distiller(dict(near=hint(teacher='a'), far=hint(teacher='b')), teachers=dict(a=settings(), b=settings()))
    with pytest.raises(ValueError, match='several teachers, a, b: read its `teachers`'):
        model.teacher  # noqa: B018
    assert distiller(dict(near=hint()), teacher=settings()).teachers.keys() == {''}


def test_each_keeps_a_cache_of_its_own(tmp_path):
    model = distiller(dict(near=hint(teacher='a', tap='neck.P4'), adl=adl(teacher='b')), teachers=dict(
        a=settings(cache=dict(dir=str(tmp_path))), b=settings(cache=dict(dir=str(tmp_path)))))
    live = distiller(dict(near=hint(teacher='a', tap='neck.P4'), adl=adl(teacher='b')),
                     teachers=dict(a=settings(), b=settings()))
    expected = training_step(live)
    for cache in model.teacher_caches.values():
        cache.open(Replay(), 2)
    calls = runs(model)
    for _ in range(2):
        model.zero_grad()
        assert all(map(equal, training_step(model), expected))
        for cache in model.teacher_caches.values():
            cache.close()
    assert calls == dict(a=1, b=1, student=2)
    assert copy.deepcopy(model).teacher_caches == model.teacher_caches


@pytest.mark.slow
def test_rois_are_replayed_on_each_that_is_read_there():
    model = distiller(dict(a=dict(type='kddet.TeacherBoundedRegression', heads=['roi'], teacher='a', bounded=False),
                           b=dict(type='kddet.TeacherBoundedRegression', heads=['roi'], teacher='b', bounded=False),
                           near=hint(teacher='c')), 'faster-rcnn',
                      teachers=dict(a=settings('faster-rcnn'), b=settings('faster-rcnn', input_scale=2.0),
                                    c=settings('retinanet')))
    extractors = [model.teachers[name].detector.roi_head.bbox_roi_extractor for name in 'ab']
    seen = []
    for extractor in extractors:
        extractor.register_forward_hook(lambda _, inputs, __: seen.append(inputs[1]))
    log, _ = training_step(model, toy_samples())
    assert log['loss_a_roi'] > 0 and log['loss_b_roi'] > 0 and log['loss_near'] > 0
    assert torch.equal(2 * seen[0][:, 1:], seen[1][:, 1:])
