from types import SimpleNamespace

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.optim import OptimWrapper
from torch import nn

from kddet import HintLearning, TermWatchHook
from kddet.errors import RunFailed


def runner(scaler=False, **methods):
    wrapper = OptimWrapper(torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1))
    if scaler:
        wrapper.loss_scaler = object()
    return SimpleNamespace(model=SimpleNamespace(methods=methods), iter=6, optim_wrapper=wrapper)


def batch():
    sample = DetDataSample()
    sample.set_metainfo(dict(img_path='a/b.jpg', img_id=3))
    return dict(data_samples=[sample])


def test_a_loss_that_is_no_number_stops_the_run():
    hook, own = TermWatchHook(), runner(hint=HintLearning())
    hook.before_train(own)
    fine = dict(loss=torch.tensor(1.0), loss_hint=torch.tensor(1.0), share=float('nan'))  # a statistic may be
    hook.after_train_iter(own, 0, batch(), fine)
    with pytest.raises(RunFailed, match=r'^iteration 7: loss_hint is nan; images: a/b.jpg. A lower'):
        hook.after_train_iter(own, 0, batch(), dict(loss=torch.tensor(float('nan')),
                                                    loss_hint=torch.tensor(float('nan'))))


def test_a_loss_scaler_may_skip_a_few():
    hook, own = TermWatchHook(), runner(scaler=True, hint=HintLearning())
    hook.before_train(own)
    broken, fine = dict(loss_hint=float('inf')), dict(loss_hint=1.0)
    for outputs in [broken] * 10 + [fine] + [broken] * 10:
        hook.after_train_iter(own, 0, batch(), outputs)
    with pytest.raises(RunFailed, match='loss_hint is inf'):
        hook.after_train_iter(own, 0, batch(), broken)


def test_a_method_that_never_fires_stops_the_run():
    hint, late, other = (HintLearning() for _ in range(3))
    hook, own = TermWatchHook(patience=2), runner(hint=hint, late=late, hint2=other)
    late.schedule = 0.0
    hook.before_train(own)
    hook.after_train_iter(own, 0, batch(), dict(loss_hint2_roi=1.0))
    with pytest.raises(RunFailed, match="method 'hint' has logged no loss in 2 iterations"):
        hook.after_train_iter(own, 0, batch(), dict(loss_hint2=1.0))


def test_wrong_patience():
    with pytest.raises(ValueError, match='patience is 0'):
        TermWatchHook(patience=0)
