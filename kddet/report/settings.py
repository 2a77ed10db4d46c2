"""The config of a run in short."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from kddet.project.classes import config_classes, meeting, teacher_classes
from kddet.project.config import data_sources
from kddet.registry import MODELS

from .progress import planned, unfinished
from .run_folder import RunFolder

MOST = 6  # pairs of a class_map


def settings(run: RunFolder) -> dict[str, str]:
    """What was trained, on what, for how long: a line each."""
    cfg = run.cfg
    methods = (cfg.model.get('methods') or {}) if run.distilled else {}
    return {
        'student': detector(run.student.model),
        'teacher': _of_each(run.teachers, _teacher) or 'none',
        'teacher\'s options': _of_each(run.teachers, lambda teacher: _options(
            _with_names(teacher, cfg), ('config', 'checkpoint', 'type', 'model'))),
        'methods': '\n'.join(_method(name, method) for name, method in methods.items()) or 'none, trained plainly',
        'schedule': _schedule(run),
        'optimizer': _optimizer(cfg),
        'batch': _batch(run),
        'seed': str((cfg.get('randomness') or {}).get('seed') or run.logged(r'^\s+seed: (\d+)$') or
                    (cfg.get('randomness') or {}).get('seed', '')),
        'training data': _data(cfg.get('train_dataloader')),
        'validation data': _data(cfg.get('val_dataloader')),
        'starts from': str(cfg.get('load_from') or ''),
        'software': ', '.join(f'{name} {found}' for name, found in (
            (name, run.logged(rf'^\s+{name}: (\S+)$')) for name in ('PyTorch', 'MMEngine')) if found),
        'hardware': run.logged(r'^\s+GPU 0[\d,]*: (.+)$') or ('CPU' if run.logged(r'CUDA available: (False)') else ''),
    }


def detector(model: ConfigDict) -> str:
    """``'RetinaNet, ResNet-18, FPN'``."""
    backbone = model.get('backbone') or {}
    depth = f'-{backbone["depth"]}' if isinstance(backbone.get('depth'), int) else ''
    neck = model.get('neck')
    necks = neck if isinstance(neck, (list, tuple)) else [neck] if neck else []
    return ', '.join([_kind(model), *([_kind(backbone) + depth] if backbone else []), *map(_kind, necks)])


def _of_each(teachers: Mapping[str, Any], text: Callable[[Any], str]) -> str:
    """A line a teacher, its name in front where it has one; those that have nothing to say are left out."""
    said = {name: text(teacher) for name, teacher in teachers.items()}
    return '\n'.join((f'{name}: ' if name else '') + line for name, line in said.items() if line)


def _method(name: str, config: Mapping[str, Any]) -> str:
    """With its weight, written down or not."""
    parameter = signature(MODELS.get(config['type'])).parameters.get('loss_weight')
    weight = {} if parameter is None or parameter.default is Parameter.empty else dict(loss_weight=parameter.default)
    return f'{name}: {_kind(config)}({_options({**weight, **config}, ("type",))})'


def _kind(config: Mapping[str, Any]) -> str:
    kind = config.get('type', '')
    return kind.rpartition('.')[2] if isinstance(kind, str) else getattr(kind, '__name__', str(kind))


def _teacher(teacher: Mapping[str, Any]) -> str:
    if not teacher:
        return 'none'
    if model := teacher.get('model'):  # from outside MMDet
        return Path(model).name if isinstance(model, str) else _kind(model)
    return f'{_file(teacher.get("config"))}; {_file(teacher.get("checkpoint"))}'


def _with_names(teacher: Mapping[str, Any], cfg: Config) -> dict[str, Any]:
    """Settings of a teacher with the pairs of its ``class_map`` by name, where both lists are still to be had."""
    pairs = teacher.get('class_map')
    if not isinstance(pairs, (list, tuple)):
        return dict(teacher)
    shown = [f'{own} to {other}' for own, other in pairs]
    with suppress(Exception):  # of files that have gone, changed, or import what is not here
        own, other = config_classes(cfg), teacher_classes(teacher)
        shown = meeting(own, other, pairs) if own and other else shown
    more = [f'{len(shown) - MOST} more'] if len(shown) > MOST else []
    return dict(teacher, class_map=f'({", ".join([*shown[:MOST], *more])})')


def _options(config: Mapping[str, Any], without: tuple[str, ...]) -> str:
    return ', '.join(f'{key}={value}' for key, value in config.items() if key not in without)


def _file(value: Any) -> str:
    return Path(value).name if isinstance(value, str) else 'none' if value is None else 'a config of its own'


def _schedule(run: RunFolder) -> str:
    wanted, unit = planned(run.cfg)
    length = unfinished(run) or f'{"?" if wanted is None else wanted} {unit}'
    schedulers = run.cfg.get('param_scheduler') or []
    schedulers = schedulers if isinstance(schedulers, (list, tuple)) else [schedulers]
    return '; '.join(filter(None, [length, ', '.join(map(_kind, schedulers))]))


def _optimizer(cfg: Config) -> str:
    wrapper = cfg.get('optim_wrapper') or {}
    optimizer = wrapper.get('optimizer') or {}
    clipped = wrapper.get('clip_grad')
    return ', '.join(filter(None, [
        f'{_kind(optimizer)}({_options(optimizer, ("type",))})',
        f'gradients clipped ({_options(clipped, ())})' if clipped else '',
        'mixed precision' if _kind(wrapper) == 'AmpOptimWrapper' else '']))


def _batch(run: RunFolder) -> str:
    loader = run.cfg.get('train_dataloader') or {}
    size, processes = loader.get('batch_size'), run.logged(r'^\s+GPU number: (\d+)$') or '1'
    if size is None:
        return ''
    return f'{size}' if processes == '1' else f'{int(size) * int(processes)} ({processes} processes of {size})'


def _data(loader: Any) -> str:
    if not loader:
        return ''
    sources = data_sources(loader.dataset)
    files = [str(Path(source.get('data_root') or '') / (source.get('ann_file') or '')) for source in sources]
    scales = [f'{step["scale"][0]} x {step["scale"][1]}' for source in sources for step in source.get('pipeline') or ()
              if _kind(step) == 'Resize' and isinstance(step.get('scale'), (list, tuple))]
    return '; '.join([f'{_kind(source)} {file}'.removesuffix(' .') for source, file in zip(sources, files)]
                     + [f'pictures within {scale}' for scale in dict.fromkeys(scales)])
