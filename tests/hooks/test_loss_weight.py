from types import SimpleNamespace

import pytest
from torch import nn

from kddet import HintLearning, LossWeightHook


def runner(epoch=0, iteration=0, **methods):
    return SimpleNamespace(model=SimpleNamespace(methods=methods), epoch=epoch, iter=iteration)


def factors(hook, count):
    return [hook.factor(step) for step in range(count)]


def test_start_stop_and_ramp():
    assert factors(LossWeightHook('hint', start=2, stop=4), 6) == [0, 0, 1, 1, 0, 0]
    assert factors(LossWeightHook('hint', ramp=3), 5) == [0.25, 0.5, 0.75, 1, 1]
    assert factors(LossWeightHook('hint', start=1, ramp=1, stop=4), 5) == [0, 0.5, 1, 1, 0]


@pytest.mark.parametrize('by_epoch', [True, False])
def test_sets_the_weight_of_its_own_method(by_epoch):
    hook = LossWeightHook('hint', start=1, by_epoch=by_epoch)
    hint, other = HintLearning(loss_weight=0.5), HintLearning(loss_weight=0.5)
    hook.before_train(runner(hint=hint, other=other))
    weights = []
    for step in range(2):
        hook.before_train_iter(runner(*((step, 9) if by_epoch else (9, step)), hint=hint, other=other), 0)
        weights.append((hint.weight, other.weight))
    assert weights == [(0, 0.5), (0.5, 0.5)]


def test_is_stateless_so_resuming_needs_nothing():
    hint = HintLearning()
    LossWeightHook('hint', start=5).before_train_iter(runner(epoch=7, hint=hint), 0)
    assert hint.schedule == 1


@pytest.mark.parametrize('options', [dict(start=-1), dict(ramp=-1), dict(start=3, stop=3)])
def test_wrong_schedule_is_refused(options):
    with pytest.raises(ValueError, match="LossWeightHook for 'hint'"):
        LossWeightHook('hint', **options)


def test_unknown_method_and_plain_model_are_refused():
    with pytest.raises(ValueError, match=r"'hnt', the Distiller has \['hint'\]"):
        LossWeightHook('hnt').before_train(runner(hint=HintLearning()))
    with pytest.raises(ValueError, match='needs a kddet.Distiller, the model is a Linear'):
        LossWeightHook('hint').before_train(SimpleNamespace(model=nn.Linear(1, 1)))
