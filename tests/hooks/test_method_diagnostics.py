import copy
import logging
import math
from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MessageHub, MMLogger
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from torch import nn

from kddet import MODELS, Distiller, DistillMethod, MethodDiagnosticsHook
from kddet.diagnostics.agreement import Agreement, agreement, gradients
from kddet.diagnostics.terms import TermReport, TermWatch
from kddet.hooks.method_diagnostics import _line
from kddet.testing import tiny_detector, toy_samples


@MODELS.register_module(force=True)
class DetectionAgain(DistillMethod):
    """The detection loss of a RetinaNet once more."""
    student_taps = ('bbox_head.loss_cls', 'bbox_head.loss_bbox')

    def __init__(self, factor=1.0, part='', **options):
        super().__init__(**options)
        self.factor, self.part = factor, part

    def forward(self, student, teacher, samples):
        own = [call.output.sum() for tap in self.student_taps for call in student[tap]]
        return {f'loss{self.part}': self.factor * sum(own), 'share': own[0]}


def again(**options):
    return dict(type='kddet.DetectionAgain', **options)


def distiller(family='retinanet', student=None, **methods):
    teacher = None
    if any(method['type'] != 'kddet.DetectionAgain' for method in methods.values()):
        teacher = dict(config=dict(model=tiny_detector(family, 16)), checkpoint=None)
    torch.manual_seed(0)
    model = Distiller(student or tiny_detector(family), teacher, methods)
    model.init_weights()
    return model.train()


@pytest.fixture(scope='module')
def _built():
    init_default_scope('mmdet')
    return distiller(twice=again(factor=4, loss_weight=0.5), against=again(factor=-1, part='_of_loss'),
                     hint=dict(type='kddet.HintLearning'))


@pytest.fixture
def model(_built):
    """Twice the detection loss, its opposite, and a hint."""
    return copy.deepcopy(_built)


def forward(model):
    torch.manual_seed(7)
    return model(**model.data_preprocessor(copy.deepcopy(toy_samples()), True), mode='loss')


def watched(model, scale=1.0):
    """Reports by name, and the losses."""
    with TermWatch(model, scale) as watch:
        losses = forward(model)
    return {report.name: report for report in watch.reports}, losses


class Scalars(list):
    def add_scalars(self, values, step):
        self.append((step, values))


@pytest.fixture
def messages():
    """What is logged."""
    logger, lines = MMLogger.get_current_instance(), []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append((record.levelname, record.getMessage()))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield lines
    logger.removeHandler(handler)


def train(model, hook=None, iterations=4, **wrapping):
    """As a Runner does, with what is logged to its visualizer."""
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9), **wrapping)
    wrapper.initialize_count_status(model, 0, iterations)
    own = SimpleNamespace(model=model, optim_wrapper=wrapper, visualizer=Scalars(), iter=0)
    torch.manual_seed(3)
    if hook:
        hook.before_train(own)
    for own.iter in range(iterations):
        if hook:
            hook.before_train_iter(own, own.iter)
        model.train_step(copy.deepcopy(toy_samples()), wrapper)
        if hook:
            hook.after_train_iter(own, own.iter)
    return own.visualizer


def test_multiples_of_the_detection_loss_are_seen_as_such(model):
    found, losses = watched(model)
    assert set(found) == {'twice', 'against_of_term', 'hint'}
    for name, ratio, cosine in (('twice', 2, 1), ('against_of_term', 1, -1)):
        assert found[name].agreement.ratio == pytest.approx(ratio, rel=1e-4)
        assert found[name].agreement.cosine == pytest.approx(cosine, rel=1e-4)
    assert found['twice'].value == losses['loss_twice'].item()
    assert found['twice'].agreement.shared == sum(p.requires_grad for p in model.student.parameters())


def test_only_what_both_reach_is_compared():
    """A hint on the second stage of a student whose first is frozen: nothing beyond that stage, no adapter."""
    student = tiny_detector('retinanet')
    student.backbone.frozen_stages = 1
    model = distiller(student=student, hint=dict(type='kddet.HintLearning', tap='backbone.layer2'))
    found, losses = watched(model)
    stage = list(model.student.backbone.layer2.parameters())
    by_hand = agreement(gradients(losses['loss_hint'], stage),
                        gradients(sum(losses['loss_cls']) + sum(losses['loss_bbox']), stage))
    assert found['hint'].agreement.shared == len(stage)
    assert found['hint'].agreement.ratio == pytest.approx(by_hand.ratio, rel=1e-6)
    assert found['hint'].agreement.cosine == pytest.approx(by_hand.cosine, rel=1e-6)


def test_mixed_precision_and_its_scale_change_nothing(model):
    plain, _ = watched(model)
    with torch.autocast('cpu', torch.bfloat16):
        found, _ = watched(model, scale=2.0**14)
    assert found['twice'].agreement.ratio == pytest.approx(2, rel=1e-2)
    assert found['twice'].agreement.cosine == pytest.approx(1, abs=1e-2)
    assert found['hint'].agreement.ratio == pytest.approx(plain['hint'].agreement.ratio, rel=0.1)


def test_the_scale_is_that_of_the_optimizer_wrapper(model):
    """Which does not exist without a GPU, its scaler does."""
    seen = []
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.01))
    wrapper.loss_scaler = torch.amp.GradScaler('cpu', init_scale=2.0**9)
    hook, own = MethodDiagnosticsHook(interval=1), SimpleNamespace(model=model, optim_wrapper=wrapper, iter=0)
    hook.before_train_iter(own, 0)
    seen.append(hook._watch.scale)
    hook.after_train_iter(own, 0)
    assert seen == [512]


def same_training(build, iterations, **wrapping):
    """Whether diagnostics in every iteration leave weights, statistics and random numbers what they are."""
    ends = []
    for hook in (None, MethodDiagnosticsHook(interval=1)):
        model = build()
        scalars = train(model, hook, iterations, **wrapping)
        ends.append((model.state_dict(), torch.get_rng_state()))
    (plain, random), (seen, random_seen) = ends
    assert len(scalars) == iterations and torch.equal(random, random_seen) and plain.keys() == seen.keys()
    return all(torch.equal(value, seen[key]) for key, value in plain.items())


def test_the_training_is_the_same_bit_for_bit(model):
    assert same_training(lambda: copy.deepcopy(model), 2)


@pytest.mark.slow
@pytest.mark.parametrize('wrapping', [{}, dict(accumulative_counts=2, clip_grad=dict(max_norm=1.0))])
def test_the_training_of_two_stages_is_the_same_bit_for_bit(wrapping):
    """They draw random numbers."""
    assert same_training(lambda: distiller('faster-rcnn', fgfi=dict(type='kddet.FineGrainedImitation', warmup=0),
                                           cls=dict(type='kddet.WeightedClassification')), 3, **wrapping)


def test_only_every_n_iterations_and_without_loss_in_the_names(model, messages):
    scalars = train(model, MethodDiagnosticsHook(interval=2), iterations=3)
    assert [step for step, _ in scalars] == [2]
    assert set(scalars[0][1]) == {f'diagnostics/{name}_{key}' for key in ('value', 'ratio', 'cosine')
                                   for name in ('twice', 'against_of_term', 'hint')} | {'iter'}
    (line,) = [text for _, text in messages if text.startswith('Diagnostics')]
    assert line.startswith('Diagnostics [2]  ') and '  twice: ' in line
    assert 'gradient 1 of the detection loss, cosine -1.000' in line
    assert not any(module._forward_hooks for module in model.modules())


def test_a_weight_is_suggested_beyond_the_bounds_and_once(messages):
    model = distiller(strong=again(factor=400, loss_weight=0.5), weak=again(factor=0.001, loss_weight=2.0),
                      fine=again(factor=5), nothing=again(factor=0.0), early=again(factor=0.5))
    model.methods['early'].schedule = 0.001  # at the beginning of a ramp
    train(model, MethodDiagnosticsHook(interval=1), iterations=2)
    assert sorted(text for level, text in messages if level == 'WARNING') == [
        "strong: at its full weight the gradient of this term is 2e+02 of the detection loss's, more than 10; "
        'consider strong.loss_weight=0.0025 (now 0.5), with which both would be equal',
        "weak: at its full weight the gradient of this term is 0.002 of the detection loss's, less than 0.01; "
        'consider weak.loss_weight=1e+03 (now 2), with which both would be equal']


def test_the_weight_that_is_suggested_can_be_set(messages):
    """In the part that it belongs to, and no higher than that allows."""
    chen = MODELS.build(dict(type='kddet.Chen2017', cls=dict(loss_weight=0.5), reg=None))
    model = SimpleNamespace(methods=dict(chen=chen))
    for term, ratio in (('loss_cls_rpn', 1e-3), ('loss_hint', 20.0)):
        MethodDiagnosticsHook()._suggest(TermReport('chen', term, 1.0, Agreement(ratio, 1.0, 1)), model)
    assert [text.partition('consider ')[2] for _, text in messages] == [
        'chen.cls.loss_weight=1 (now 0.5), the highest there is',
        'chen.hint.loss_weight=0.025 (now 0.5), with which both would be equal']


def test_a_method_that_is_off_is_left_out(model):
    model.methods['hint'].schedule = 0.0
    found, _ = watched(model)
    assert set(found) == {'twice', 'against_of_term'} and found['twice'].agreement.ratio == pytest.approx(2, rel=1e-4)


def test_reentrant_checkpointing_switches_them_off(messages):
    student = tiny_detector('retinanet')
    student.backbone.with_cp = True
    scalars = train(distiller(student=student, twice=again()), MethodDiagnosticsHook(interval=1), iterations=2)
    assert not scalars
    (warning,) = [text for level, text in messages if level == 'WARNING']
    assert 'switched off: reentrant activation checkpointing' in warning and 'with_cp=False' in warning


def test_what_cannot_be_looked_at_is_refused():
    with pytest.raises(ValueError, match='interval 0'):
        MethodDiagnosticsHook(interval=0)
    with pytest.raises(ValueError, match=r'allowed \(10, 1\)'):
        MethodDiagnosticsHook(allowed=(10, 1))
    with pytest.raises(ValueError, match='of a kddet.Distiller, the model is a Linear'):
        MethodDiagnosticsHook().before_train(SimpleNamespace(model=nn.Linear(1, 1)))


def test_the_imitation_says_how_far_it_has_risen():
    method = MODELS.build(dict(type='kddet.FineGrainedImitation', warmup=10))
    MessageHub.get_current_instance().update_info('iter', 5)
    method.schedule = 0.5
    try:
        assert method.risen == 0.25 and math.isclose(method.weight, 0.005)
    finally:
        MessageHub.get_current_instance().runtime_info.pop('iter')


def test_a_tiny_term_is_not_written_as_zero():
    assert _line(TermReport('tiny', 'loss', 8.5e-6, Agreement(0.5, 0.1, 1))).startswith('tiny: 8.5e-06, gradient 0.5')
    assert _line(TermReport('tiny', 'loss', 8.5e-6, Agreement(math.nan, math.nan, 0))).startswith('tiny: 8.5e-06, no ')
