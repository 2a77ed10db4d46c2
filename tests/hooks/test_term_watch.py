import copy
from types import SimpleNamespace

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import nn

from kddet import HintLearning, TermWatchHook
from kddet.checkpoint import load_checkpoint
from kddet.errors import RunFailed


def runner(scaler=False, **methods):
    model = nn.BatchNorm1d(2)
    model.methods = nn.ModuleDict(methods)
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=1))
    if scaler:
        wrapper.loss_scaler = object()
    return SimpleNamespace(model=model, iter=6, optim_wrapper=wrapper, hooks=[])


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


def test_a_method_that_never_fires_fails_a_short_run():
    hook, own = TermWatchHook(), runner(hint=HintLearning(), off=HintLearning(), heard=HintLearning())
    own.model.methods['off'].schedule = 0.0
    hook.before_train(own)
    hook.after_train_iter(own, 0, batch(), dict(loss_heard=1.0))
    with pytest.raises(RunFailed, match="method 'hint' has logged no loss in 1 iterations"):
        hook.after_train(own)
    hook.after_train_iter(own, 1, batch(), dict(loss_hint=1.0))
    hook.after_train(own)


def test_a_step_with_a_broken_gradient_is_not_taken():
    hook, own = TermWatchHook(), runner(hint=HintLearning())
    optimizer = own.optim_wrapper.optimizer
    hook.before_train(own)
    for gradient, kept in ((float('nan'), True), (float('inf'), True), (1.0, False)):
        before = own.model.weight.detach().clone()
        own.model.weight.grad, own.model.bias.grad = torch.tensor([0.5, gradient]), torch.ones(2)
        optimizer.step()
        assert torch.equal(own.model.weight, before) == kept
        if kept:
            with pytest.raises(RunFailed, match='^iteration 7: the gradient is not finite, and every loss is; images'):
                hook.after_train_iter(own, 0, batch(), dict(loss_hint=1.0))
    hook.after_train_iter(own, 0, batch(), dict(loss_hint=1.0))
    hook.after_train(own)
    own.model.weight.grad = torch.full((2,), float('nan'))
    optimizer.step()
    assert own.model.weight.isnan().all()


def test_broken_statistics_are_not_saved():
    hook, own = TermWatchHook(), runner(hint=HintLearning())
    hook.after_train_epoch(own)
    own.model.running_var[0] = float('inf')
    with pytest.raises(RunFailed, match='iteration 6: 1 tensors of the model are not finite .* running_var; no check'):
        hook.after_train_epoch(own)
    with pytest.raises(RunFailed, match='running_var'):
        hook.before_val_epoch(own)


@pytest.mark.slow
@pytest.mark.parametrize('by_epoch', [True, False])
def test_the_last_checkpoint_is_the_last_good_one(distilled_config, tmp_path, by_epoch):
    cfg = copy.deepcopy(distilled_config)
    cfg.work_dir = str(tmp_path)
    cfg.default_hooks.checkpoint.update(interval=1, by_epoch=by_epoch, max_keep_ckpts=1)
    cfg.custom_hooks = [dict(type='kddet.TermWatchHook'), dict(type='EMAHook')]
    runner = Runner.from_cfg(cfg)
    runner.register_hook(Break(), 'LOWEST')
    with pytest.raises(RunFailed, match='iteration 3: loss_cls is nan'):
        runner.train()
    last = 'epoch_1.pth' if by_epoch else 'iter_2.pth'
    assert [file.name for file in tmp_path.glob('*.pth')] == [last]
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / last)
    saved = load_checkpoint(tmp_path / last)
    assert all(value.isfinite().all() for part in ('state_dict', 'ema_state_dict') for value in saved[part].values())


class Break(Hook):
    """A third step that gives no number."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 2:
            nn.init.constant_(runner.model.student.bbox_head.retina_cls.bias, float('nan'))


def test_wrong_patience():
    with pytest.raises(ValueError, match='patience is 0'):
        TermWatchHook(patience=0)
