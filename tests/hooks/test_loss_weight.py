from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import nn

from kddet import HintLearning, LossWeightHook


def runner(epoch=0, iteration=0, **methods):
    optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1))])
    return SimpleNamespace(model=SimpleNamespace(methods=methods), epoch=epoch, iter=iteration,
                           optim_wrapper=OptimWrapper(optimizer))


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


@pytest.mark.parametrize('many', [False, True])
def test_weight_decay_leaves_an_idle_adapter_alone(many):
    """And nothing else: the student decays all the while."""
    method, student = HintLearning(), nn.Linear(2, 2)
    method.adapters = nn.Linear(3, 3)
    optimizer = torch.optim.AdamW([*method.parameters(), *student.parameters()], lr=0.1, weight_decay=0.5)
    wrapper = OptimWrapper(optimizer)
    own = runner(hint=method)
    own.optim_wrapper = OptimWrapperDict(all=wrapper) if many else wrapper
    hook = LossWeightHook('hint', start=2, by_epoch=False)
    hook.before_train(own)
    seen = []
    for own.iter in range(3):
        hook.before_train_iter(own, 0)
        before = [method.adapters.weight.clone(), student.weight.clone()]
        loss = student.weight.sum() + (method.adapters.weight.sum() if method.weight else method.untouched())
        wrapper.update_params(loss)
        seen.append([not torch.equal(*pair) for pair in zip(before, (method.adapters.weight, student.weight))])
    assert seen == [[False, True], [False, True], [True, True]]
    hook.after_train(own)
    assert not optimizer._optimizer_step_pre_hooks


@pytest.mark.parametrize('options', [dict(start=-1), dict(ramp=-1), dict(start=3, stop=3)])
def test_wrong_schedule_is_refused(options):
    with pytest.raises(ValueError, match="LossWeightHook for 'hint'"):
        LossWeightHook('hint', **options)


def test_unknown_method_and_plain_model_are_refused():
    with pytest.raises(ValueError, match=r"'hnt', the model has \['hint'\]"):
        LossWeightHook('hnt').before_train(runner(hint=HintLearning()))
    with pytest.raises(ValueError, match='needs a kddet.Distiller or LabelEncAutoencoder, the model is a Linear'):
        LossWeightHook('hint').before_train(SimpleNamespace(model=nn.Linear(1, 1)))
