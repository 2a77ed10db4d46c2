"""Every so many iterations: how strong each distillation term is beside the detection loss, and which way it pulls."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapperDict

from kddet.diagnostics.terms import TermReport, TermWatch
from kddet.distiller import Distiller
from kddet.registry import HOOKS


@HOOKS.register_module()
class MethodDiagnosticsHook(Hook):
    """Logs, for each term, its value, the norm of its gradient as a share of the detection loss's, and their cosine.

    Gradients are those on the parameters of the student that both reach, of the weighted term and of the student's
    own losses together. They go to the log, and as ``diagnostics/<term>_value``, ``_ratio`` and ``_cosine`` to every
    visualisation backend of the run. The training is the same bit for bit; an iteration that is looked at takes one
    more backward for the detection loss and one for each term, the others nothing. In distributed training they are
    the gradients of rank 0's batch.

    A term whose gradient is beyond ``allowed`` gets a ``loss_weight`` suggested, at which both gradients would have the
    same length; it is said again when it has changed by a factor of two.

    Args:
        interval: of iterations that are looked at.
        allowed: lowest and highest share of the detection loss's gradient about which nothing is said.
    """

    priority = 'VERY_LOW'

    def __init__(self, interval: int = 50, allowed: Sequence[float] = (0.01, 10.0)) -> None:
        low, high = allowed
        if interval < 1 or not 0 <= low < high:
            raise ValueError(f'MethodDiagnosticsHook: interval {interval}, allowed {tuple(allowed)}; the interval is 1 '
                             'or more iterations, and what is allowed goes from a lower to a higher share')
        self.interval, self.allowed = interval, (low, high)
        self._watch: TermWatch | None = None
        self._said: dict[str, float] = {}
        self._off = False

    def before_train(self, runner) -> None:
        model = _model(runner)
        if not isinstance(model, Distiller):
            raise ValueError(f'method diagnostics look at the terms of a kddet.Distiller, the model is a '
                             f'{type(model).__name__}')

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        if self.every_n_train_iters(runner, self.interval) and not self._off:
            self._watch = TermWatch(_model(runner), _loss_scale(runner.optim_wrapper))
            self._watch.__enter__()

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs: dict | None = None) -> None:
        if self._watch is None:
            return
        watch, self._watch = self._watch, None
        watch.__exit__()
        if watch.obstacle:
            self._off = True
            print_log(f'method diagnostics are switched off: {watch.obstacle}', 'current', level=30)
        if watch.reports:
            self._log(runner, watch.reports)

    def _log(self, runner, reports: list[TermReport]) -> None:
        scalars = {f'diagnostics/{report.name}_{key}': value for report in reports for key, value in dict(
            value=report.value, ratio=report.agreement.ratio, cosine=report.agreement.cosine).items()
            if math.isfinite(value)}
        iteration = runner.iter + 1
        print_log(f'Diagnostics [{iteration}]  ' + '  '.join(map(_line, reports)), 'current')
        # 'iter' tells lines of training from those of evaluations in MMEngine's json
        runner.visualizer.add_scalars(dict(scalars, iter=iteration), step=iteration)
        for report in reports:
            self._suggest(report, _model(runner))

    def _suggest(self, report: TermReport, model: Distiller) -> None:
        method = model.methods[report.method]
        share = report.agreement.ratio / method.risen if method.risen else math.nan  # at the full weight
        low, high = self.allowed
        if low <= share <= high or not 0 < share < math.inf:
            return
        prefix, owner = method.weighed_by(report.term)
        wanted = min(owner.loss_weight / share, owner.highest_weight)
        if report.name in self._said and 0.5 < wanted / self._said[report.name] < 2:
            return
        self._said[report.name] = wanted
        bound = f'less than {low:g}' if share < low else f'more than {high:g}'
        print_log(f'{report.name}: at its full weight the gradient of this term is {share:.2g} of the detection '
                  f"loss's, {bound}; consider {report.method}.{prefix}loss_weight={wanted:.2g} (now "
                  f'{owner.loss_weight:g}), ' + ('with which both would be equal' if wanted < owner.highest_weight else
                                                 'the highest there is'), 'current', level=30)


def _line(report: TermReport) -> str:
    if not report.agreement.shared:
        return f'{report.name}: {report.value:.4g}, no parameter in common with the detection loss'
    return (f'{report.name}: {report.value:.4g}, gradient {report.agreement.ratio:.3g} of the detection loss, '
            f'cosine {report.agreement.cosine:+.3f}')


def _model(runner) -> Any:
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def _loss_scale(wrapper: Any) -> float:
    """Of AMP; 1 without."""
    first = next(iter(wrapper.values())) if isinstance(wrapper, OptimWrapperDict) else wrapper
    return first.loss_scaler.get_scale() if hasattr(first, 'loss_scaler') else 1.0
