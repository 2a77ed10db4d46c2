"""A config whose teacher has a cache, checked and completed before anything is built."""
from __future__ import annotations

import os
from pathlib import Path

from mmengine.config import Config

from kddet.project.config import add_hook, is_distillation
from kddet.teachers.settings import named_teachers

from .pipeline import check_pipelines

HOOK = 'kddet.TeacherCacheHook'


def cache_configs(cfg: Config) -> list[dict]:
    """The ``cache`` of each teacher of a distillation config that has one."""
    teachers = named_teachers(cfg.model).values() if is_distillation(cfg) else ()
    return [cache for teacher in teachers if (cache := teacher.get('cache'))]


def prepare_cache(cfg: Config) -> None:
    """Add a :class:`kddet.TeacherCacheHook` to a config with a teacher that has a cache.

    Raises:
        ValueError: the pipelines of the training data cannot be replayed, and the cache is not to compute what it
            misses; or its folder cannot be written to.
    """
    caches = cache_configs(cfg)
    for cache in caches:
        check_writable(cache)
        if cache.get('on_miss') != 'compute':
            check_pipelines(cfg, cache.get('replayable', ()))
    if caches:
        add_hook(cfg, HOOK)


def check_writable(cache: dict) -> None:
    """Refuse a folder that cannot be made or written to, and make nothing.

    Raises:
        ValueError: says why.
    """
    place = Path(cache['dir']).expanduser()
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK):
        problem = 'no permission to write' if place.is_dir() else f'{str(place)!r} is a file'
        raise ValueError(f"dir of the teacher cache is {cache['dir']!r}, which cannot be written to ({problem}); give "
                         'another folder')
