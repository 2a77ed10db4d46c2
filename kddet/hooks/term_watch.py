"""Stop a run whose distillation does nothing, or whose losses are no numbers any more."""
from __future__ import annotations

import math

import torch
from mmengine.hooks import Hook

from kddet.errors import RunFailed
from kddet.registry import HOOKS

from .loss_weight import methods_of

OVERFLOWS = 10  # in a row


@HOOKS.register_module()
class TermWatchHook(Hook):
    """Looks at what is logged anyway, iteration by iteration; ``tools/train.py`` adds it to every distillation config.

    Args:
        patience: iterations with a weight after which a method that logged no loss stops the run.

    Raises:
        RunFailed: in the run: a method's loss never came, or a loss is not finite; the message names it, the
            iteration and the images.
    """

    priority = 'VERY_LOW'

    def __init__(self, patience: int = 20) -> None:
        if patience < 1:
            raise ValueError(f'patience is {patience}, it must be 1 or more')
        self.patience = patience

    def before_train(self, runner) -> None:
        self._silent = dict.fromkeys(methods_of(runner), 0)
        # a loss scaler skips steps that overflow, and finds a smaller scale
        self._allowed = OVERFLOWS if hasattr(runner.optim_wrapper, 'loss_scaler') else 0
        self._broken = 0  # iterations in a row

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs: dict | None = None) -> None:
        logged = {key: float(torch.as_tensor(value).detach()) for key, value in (outputs or {}).items()
                  if 'loss' in key}
        broken = [f'{key} is {value}' for key, value in logged.items() if not math.isfinite(value)]
        self._broken = self._broken + 1 if broken else 0
        if self._broken > self._allowed:
            terms = [text for text in broken if not text.startswith('loss is')] or broken
            raise RunFailed(f'iteration {runner.iter + 1}: {", ".join(terms)}; images: {_images(data_batch)}. A lower '
                            'learning rate or loss_weight, gradient clipping, or a look at these images may help')
        for name in list(self._silent):
            if any(key == f'loss_{name}' or key.startswith(f'loss_{name}_') for key in logged):
                del self._silent[name]
            elif methods_of(runner)[name].weight:
                self._silent[name] += 1
                if self._silent[name] >= self.patience:
                    raise RunFailed(f'method {name!r} has logged no loss in {self.patience} iterations: what it reads '
                                    'of the student was never computed; check its heads and taps')


def _images(data_batch) -> str:
    samples = (data_batch or {}).get('data_samples') or ()
    samples = samples if isinstance(samples, (list, tuple)) else ()
    return ', '.join(str(sample.metainfo.get('img_path', sample.metainfo.get('img_id'))) for sample in samples) or '?'
