"""Schedule the weight of a method: start, stop, linear ramp."""
from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapperDict

from kddet.registry import HOOKS


@HOOKS.register_module()
class LossWeightHook(Hook):
    """Multiply a method's ``loss_weight`` by 0 before ``start``, by 1 from the end of the ramp to ``stop``, then by 0.

    It keeps no state: the factor follows from the runner's epoch or iteration, so resuming needs nothing. While it is
    0, the optimizer leaves the method's own parameters alone, so that weight decay does not erode an idle adapter.

    Args:
        method: key of the method in the Distiller's ``methods``; ``'distance'`` of a LabelEncAutoencoder.
        start: first epoch or iteration, counted from 0, in which the method is on.
        stop: first one in which it is off again; None leaves it on.
        ramp: number of epochs or iterations over which the factor rises linearly from ``1 / (ramp + 1)`` to 1.
        by_epoch: count epochs (True) or iterations.
    """

    priority = 'NORMAL'

    def __init__(self, method: str, start: int = 0, stop: int | None = None, ramp: int = 0,
                 by_epoch: bool = True) -> None:
        if start < 0 or ramp < 0 or (stop is not None and stop <= start):
            raise ValueError(f'LossWeightHook for {method!r}: start {start}, stop {stop}, ramp {ramp}; start and ramp '
                             'must be 0 or more, and stop greater than start')
        self.method, self.start, self.stop, self.ramp, self.by_epoch = method, start, stop, ramp, by_epoch

    def factor(self, step: int) -> float:
        """The factor in epoch or iteration ``step``."""
        if step < self.start or (self.stop is not None and step >= self.stop):
            return 0.0
        return min(1.0, (step - self.start + 1) / (self.ramp + 1))

    def before_train(self, runner) -> None:
        methods = methods_of(runner)
        if self.method not in methods:
            raise ValueError(f'LossWeightHook schedules method {self.method!r}, the model has {list(methods)}')
        method = methods[self.method]
        self._handles = [optimizer.register_step_pre_hook(lambda *_: _skip_if_off(method))
                         for optimizer in optimizers_of(runner.optim_wrapper)]

    def after_train(self, runner) -> None:
        for handle in self._handles:
            handle.remove()

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        methods_of(runner)[self.method].schedule = self.factor(runner.epoch if self.by_epoch else runner.iter)


def methods_of(runner):
    """The methods of the runner's model, by name.

    Raises:
        ValueError: it has none.
    """
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    methods = getattr(model, 'methods', None)
    if methods is None:
        raise ValueError('this hook of kddet needs a kddet.Distiller or LabelEncAutoencoder, the model is a '
                         f'{type(model).__name__}')
    return methods


def optimizers_of(wrapper) -> list:
    """Torch's, of an optimizer wrapper or of several."""
    return [own.optimizer for own in wrapper.values()] if isinstance(wrapper, OptimWrapperDict) else [wrapper.optimizer]


def _skip_if_off(method) -> None:
    if not method.schedule:
        for parameter in method.parameters():
            parameter.grad = None
