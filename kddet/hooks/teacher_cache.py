"""Tell the teachers' caches of the data, and say how much of it was found."""
from __future__ import annotations

from typing import Any

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper

from kddet.cache import check_pipelines
from kddet.registry import HOOKS


@HOOKS.register_module()
class TeacherCacheHook(Hook):
    """Opens the caches of a Distiller's teachers; ``tools/train.py`` adds it to a config with a cache.

    Raises:
        ValueError: in the run: the pipeline of the training data cannot be replayed; the message names the transform.
    """

    def before_train(self, runner) -> None:
        self._caches = _caches_of(runner.model)
        for cache in self._caches.values():
            open_cache(cache, runner.cfg, runner.train_dataloader.dataset)
        budgets = [cache.writer.budget for cache in self._caches.values()]
        for budget in budgets:
            budget.count_with(budgets)

    def after_train_epoch(self, runner, metrics: dict | None = None) -> None:
        for name, cache in self._caches.items():
            if cache.seen:
                runner.logger.info((f'{name}: ' if name else '') + cache.report())

    def after_train(self, runner) -> None:
        for cache in self._caches.values():
            cache.close()


def open_cache(cache: Any, cfg: Config, dataset: Any) -> None:
    """Check the pipelines of a config, and open the cache for a data set.

    Args:
        cache: a :class:`kddet.cache.teacher_cache.TeacherCache`.
        cfg: the training config.
        dataset: what it builds, for the number of its pictures.

    Raises:
        ValueError: a pipeline cannot be replayed, and the cache is not to compute what it misses.
    """
    try:
        replay = check_pipelines(cfg, cache.replayable)
    except ValueError as error:
        if cache.on_miss != 'compute':
            raise
        print_log(f'the teacher runs live: {error}', 'current', level=30)
        replay = None
    cache.open(replay, count_pictures(dataset))


def count_pictures(dataset: Any) -> int:
    """How many there are, each once, inside wrappers that repeat or join data sets."""
    if hasattr(dataset, 'datasets'):
        return sum(count_pictures(part) for part in dataset.datasets)
    return count_pictures(dataset.dataset) if hasattr(dataset, 'dataset') else len(dataset)


def _caches_of(model: Any) -> dict[str, Any]:
    model = model.module if is_model_wrapper(model) else model
    return getattr(model, 'teacher_caches', {})
