"""Stop a run whose distillation does nothing, or whose losses are no numbers any more."""
from __future__ import annotations

import math
from typing import Any

import torch
from mmengine.hooks import CheckpointHook, Hook
from mmengine.model import is_model_wrapper
from torch import nn

from kddet.errors import RunFailed
from kddet.finite import all_finite, broken_tensors
from kddet.registry import HOOKS

from .loss_weight import methods_of, optimizers_of

OVERFLOWS = 10  # in a row
REMEDY = '. A lower learning rate or loss_weight, gradient clipping, or a look at these images may help'


@HOOKS.register_module()
class TermWatchHook(Hook):
    """Looks at what is logged anyway, iteration by iteration; ``tools/train.py`` adds it to every distillation config.

    A step whose gradients are not finite is not taken, and the run stops before any other hook keeps its weights: the
    last checkpoint is the last good one.

    Args:
        patience: iterations with a weight after which a method that logged no loss stops the run; a run that is
            shorter fails at its end.

    Raises:
        RunFailed: in the run: a method's loss never came, or a loss, its gradient or a weight is not finite; the
            message names it, the iteration and the images.
    """

    priority = 'VERY_HIGH'  # before EMAHook and CheckpointHook, after RuntimeInfoHook, which is registered earlier

    def __init__(self, patience: int = 20) -> None:
        if patience < 1:
            raise ValueError(f'patience is {patience}, it must be 1 or more')
        self.patience = patience

    def before_train(self, runner) -> None:
        self._silent = dict.fromkeys(methods_of(runner), 0)
        # a loss scaler skips steps that overflow, and finds a smaller scale
        self._allowed = OVERFLOWS if hasattr(runner.optim_wrapper, 'loss_scaler') else 0
        self._broken = 0  # iterations in a row
        self._skipped = False
        self._handles = [optimizer.register_step_pre_hook(lambda optimizer, *_: self._skip_if_broken(optimizer))
                         for optimizer in optimizers_of(runner.optim_wrapper)]

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs: dict | None = None) -> None:
        logged = {key: float(torch.as_tensor(value).detach()) for key, value in (outputs or {}).items()
                  if 'loss' in key}
        self._check_numbers(runner, data_batch, logged)
        self._check_silence(runner, logged)
        if _saves_now(runner):
            _check_weights(runner, runner.iter + 1)

    def after_train_epoch(self, runner) -> None:
        _check_weights(runner, runner.iter)

    def before_val_epoch(self, runner) -> None:
        _check_weights(runner, runner.iter)

    def after_train(self, runner) -> None:
        for handle in self._handles:
            handle.remove()
        for name, count in self._silent.items():
            if count:
                raise _silence(name, count)

    def _skip_if_broken(self, optimizer: Any) -> None:
        """Without gradients an optimizer leaves the weights as they are."""
        own = [parameter for group in optimizer.param_groups for parameter in group['params']
               if parameter.grad is not None]
        if not all_finite(parameter.grad for parameter in own):
            self._skipped = True
            for parameter in own:
                parameter.grad = None

    def _check_numbers(self, runner, data_batch: Any, logged: dict[str, float]) -> None:
        broken = [f'{key} is {value}' for key, value in logged.items() if not math.isfinite(value)]
        if self._skipped and not broken:
            broken = ['the gradient is not finite, and every loss is']
        self._broken, self._skipped = self._broken + 1 if broken else 0, False
        if self._broken > self._allowed:
            terms = [text for text in broken if not text.startswith('loss is')] or broken
            raise RunFailed(f'iteration {runner.iter + 1}: {", ".join(terms)}; images: {_images(data_batch)}{REMEDY}')

    def _check_silence(self, runner, logged: dict[str, float]) -> None:
        for name in list(self._silent):
            if any(key == f'loss_{name}' or key.startswith(f'loss_{name}_') for key in logged):
                del self._silent[name]
            elif methods_of(runner)[name].weight:
                self._silent[name] += 1
                if self._silent[name] >= self.patience:
                    raise _silence(name, self.patience)


def _silence(name: str, count: int) -> RunFailed:
    return RunFailed(f'method {name!r} has logged no loss in {count} iterations: what it reads of the student was '
                     'never computed; check its heads and taps')


def _saves_now(runner) -> bool:
    """Whether a checkpoint is due after this iteration."""
    return any(hook.every_n_train_iters(runner, hook.interval, hook.save_begin) or hook.is_last_train_iter(runner)
               for hook in runner.hooks if isinstance(hook, CheckpointHook) and not hook.by_epoch)


def _check_weights(runner, iteration: int) -> None:
    """Overflows inside the network reach the running statistics of batch norm without any loss that shows them."""
    model: nn.Module = runner.model.module if is_model_wrapper(runner.model) else runner.model
    if broken := broken_tensors(model):
        raise RunFailed(f'iteration {iteration}: {len(broken)} tensors of the model are not finite any more, the first '
                        f'is {broken[0]}; no checkpoint of them is written{REMEDY}')


def _images(data_batch) -> str:
    samples = (data_batch or {}).get('data_samples') or ()
    samples = samples if isinstance(samples, (list, tuple)) else ()
    return ', '.join(str(sample.metainfo.get('img_path', sample.metainfo.get('img_id'))) for sample in samples) or '?'
