"""Batch size and learning rate, against those that the recipe was made for."""
from __future__ import annotations

from typing import Any

from mmengine.config import Config
from mmengine.dist import get_world_size

from .report import NOTE, OK, Line


def batch_line(cfg: Config) -> Line:
    """What a step sees, on all processes."""
    size, world = _batch_size(cfg.get('train_dataloader') or {}), get_world_size()
    rate = _learning_rate(cfg.get('optim_wrapper') or {})
    recipe = cfg.get('auto_scale_lr') or {}
    base = recipe.get('base_batch_size')
    if not isinstance(size, int):
        return Line('batch', NOTE, 'its size is not in train_dataloader', 'see that the learning rate is for it')
    step = size * world
    steps = (cfg.get('optim_wrapper') or {}).get('accumulative_counts', 1)
    text = f'{step} images a step' + (f' ({size} on each of {world} processes)' if world > 1 else '') + (
        f', gradients of {steps} steps together' if steps > 1 else '')
    if base is None or rate is None:
        return Line('batch', OK, f'{text}, learning rate {_number(rate)}; the config does not say for which batch size '
                    'it is (auto_scale_lr)')
    if recipe.get('enable'):
        return Line('batch', OK, f'{text}, learning rate {_number(rate)} scaled to {_number(rate * step / base)}: the '
                    f'recipe is for {base}')
    if step * steps == base:
        return Line('batch', OK, f'{text}, learning rate {_number(rate)}, as in the recipe')
    return Line('batch', NOTE, f'{text}, learning rate {_number(rate)}; the recipe is for {base} images',
                f'--auto-scale-lr makes it {_number(rate * step / base)}')


def _batch_size(loader: Any) -> Any:
    return loader.get('batch_size') or (loader.get('batch_sampler') or {}).get('batch_size')


def _learning_rate(wrapper: Any) -> float | None:
    rate = (wrapper.get('optimizer') or {}).get('lr')
    return rate if isinstance(rate, (int, float)) else None


def _number(value: float | None) -> str:
    return 'of its own' if value is None else f'{value:.4g}'
