"""Settings that the host takes as they come and stumbles over later."""
from __future__ import annotations

from typing import Any

from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.hooks import CheckpointHook, Hook

SEEDS = 2**32  # of numpy


def check_hooks(cfg: Config) -> None:
    """Refuse hooks that are neither configs nor hooks.

    Raises:
        ValueError: names the setting.
    """
    custom, default = cfg.get('custom_hooks') or [], cfg.get('default_hooks') or {}
    if not isinstance(custom, (list, tuple)) or not isinstance(default, dict):
        kinds = type(custom).__name__, type(default).__name__
        raise ValueError('custom_hooks must be a list, [dict(type=...), ...], and default_hooks a dict, '
                         f'dict(name=dict(type=...)); they are a {kinds[0]} and a {kinds[1]}')
    named = [(f'custom_hooks[{index}]', hook) for index, hook in enumerate(custom)]
    for where, hook in named + [(f'default_hooks.{name}', hook) for name, hook in default.items() if hook is not None]:
        if not isinstance(hook, (dict, Hook)):
            raise ValueError(f"{where} is {hook!r}, it must be dict(type='...', ...)")


def check_seed(cfg: Config) -> None:
    """Refuse a seed that random numbers cannot begin with.

    Raises:
        ValueError: says what it is.
    """
    randomness: Any = cfg.get('randomness') or {}
    if not isinstance(randomness, dict):
        raise ValueError(f'randomness is {randomness!r}, it must be dict(seed=0)')
    seed = randomness.get('seed')
    if seed is not None and not (isinstance(seed, int) and 0 <= seed < SEEDS):
        raise ValueError(f'randomness.seed is {seed!r}, it must be a whole number from 0 to {SEEDS - 1}, or None')


def check_save_best(runner: Any) -> None:
    """Refuse a ``save_best`` that no metric of the validation can give, by the beginnings of their names.

    Args:
        runner: MMEngine's, with its loops built.

    Raises:
        ValueError: names it, and what the metrics give.
    """
    evaluator = getattr(runner.val_loop, 'evaluator', None)
    if type(evaluator) is not Evaluator:  # others name metrics as they like
        return
    prefixes = [metric.prefix for metric in evaluator.metrics]
    for hook in runner.hooks:
        for key in (hook.save_best or ()) if isinstance(hook, CheckpointHook) else ():
            if key != 'auto' and all(prefixes) and key.partition('/')[0] not in prefixes:
                raise ValueError(f'save_best of the checkpoint hook is {key!r}, and val_evaluator gives metrics whose '
                                 f'names begin with {", ".join(f"{prefix}/" for prefix in prefixes)}; write one of '
                                 "them, or 'auto' for the first")
