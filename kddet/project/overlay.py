"""Turn a plain detector's config into a distillation config, with nothing of it restated."""
from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any

from mmengine.config import Config, ConfigDict

from kddet.methods import NAMES
from kddet.registry import MODELS
from kddet.teachers.settings import KEY, NAME

from .config import add_hook, is_distillation
from .optim import student_constructor
from .teaching import are_model_files, check_known, teachers_of

HOOKS = 'kddet.TermWatchHook', 'kddet.PlainCheckpointHook'  # that every distillation has
DIAGNOSTICS = 'kddet.MethodDiagnosticsHook'


def distillation_config(student: Config, *, teacher: dict | None = None, methods: dict,
                        teachers: dict | None = None) -> Config:
    """The student's own config with a Distiller around its model.

    Args:
        student: config of a plain MMDet detector, left as it is.
        teacher: keyword arguments of :class:`kddet.FrozenTeacher`.
        methods: ``{name: config of a DistillMethod}``.
        teachers: several, by their names.
    """
    cfg = student.copy()
    model = dict(type='kddet.Distiller', student=student.model, methods=methods)
    model.update({key: value for key, value in dict(teacher=teacher, teachers=teachers).items() if value})
    cfg.model = ConfigDict(model)
    return cfg


def overlay(student: Config, *, methods: Sequence[str], options: Mapping[str, Any] | None = None,
            teacher: str | Mapping[str, str] | None = None,
            teacher_checkpoint: str | Mapping[str, str] | None = None, class_map: Any = None,
            teacher_options: Mapping[str, Any] | None = None) -> Config:
    """A user's own config as a distillation config, by the names of methods.

    Data, schedule, hooks and everything else stay what they are. The optimizer's groups of parameters are those of the
    plain student, whatever constructor makes them, with one more for what the methods train; and ``kddet`` is among
    the imports, so that MMDet's own tools train the config too.

    Args:
        student: config of a plain MMDet detector, left as it is.
        methods: keys of :data:`kddet.methods.NAMES`, or ``'name=key'`` for one by another name.
        options: of the methods: ``{'fgfi.loss_weight': 0.02}``.
        teacher: config of the teacher, a path or ``package::path``, or a model's file, for
            :class:`kddet.ExternalTeacher`; or of several, by their names, where each method says in its options which
            it reads: ``{'fgfi.teacher': 'name'}``.
        teacher_checkpoint: path or URL of its weights, which a model's file has in it; of several by the same names.
        class_map: of the teachers, where they have other classes: ``'auto'`` goes by their names, ``{student's name:
            teacher's name}`` by these.
        teacher_options: ``{'input_scale': 2.0}``, of several ``{'name.input_scale': 2.0}``; what is said of one here
            goes before ``class_map``.

    Raises:
        ValueError: a method or an option that is not there, or a teacher that is missing.
    """
    if is_distillation(student):
        raise ValueError('the config is a distillation config already; methods are added to the config of a plain '
                         'detector')
    keys = {name: key or name for name, _, key in (method.partition('=') for method in methods)}
    for name, key in keys.items():
        check_known(key, NAMES, 'method')
        if not NAME.fullmatch(name):
            raise ValueError(f'a method is called {name!r}; names begin with a letter and have letters, digits, _ and '
                             '- in them')
    chosen = {name: dict(type=NAMES[key]) for name, key in keys.items()}
    if len(chosen) < len(methods) or not chosen:
        raise ValueError(f'methods {", ".join(methods) or "none"}: give one or more, each once; the same for two '
                         'teachers by two names, first=hint,second=hint')
    kinds = {name: MODELS.get(own['type']) for name, own in chosen.items()}
    for key in options or {}:
        name, _, option = key.partition('.')
        if not option:
            raise ValueError(f'--method-options {key}={(options or {})[key]} does not say of which method, or which '
                             f'option: give METHOD.NAME=VALUE, such as {next(iter(chosen))}.loss_weight=0.5')
        check_known(name, chosen, 'method')
        if option != KEY:
            check_known(option.partition('.')[0], signature(kinds[name]).parameters, f'option of {name}')
    reads_teacher = [name for name, kind in kinds.items() if kind.needs_teacher is not False]
    if reads_teacher and not (teacher and (teacher_checkpoint or are_model_files(teacher))):
        missing = ' and '.join(what for what, given in (('config', teacher), ('checkpoint', teacher_checkpoint))
                               if not given)
        raise ValueError(f'method {", ".join(reads_teacher)} reads a teacher, whose {missing} '
                         f'{"are" if " and " in missing else "is"} not given: --teacher CONFIG --teacher-checkpoint '
                         'FILE, or --teacher MODEL.onnx')
    merged = Config(dict(methods=chosen))
    merged.merge_from_dict({f'methods.{key}': os.path.abspath(value) if isinstance(value, str) and os.path.isfile(value)
                            and not key.endswith(f'.{KEY}') else value for key, value in (options or {}).items()})
    cfg = distillation_config(student, methods=merged.methods, **teachers_of(
        teacher, teacher_checkpoint, class_map, teacher_options))
    if not cfg.get('optim_wrapper'):
        raise ValueError('the config has no optim_wrapper, it is not one to train with')
    cfg.optim_wrapper = student_constructor(cfg.optim_wrapper)
    imports = cfg.get('custom_imports') or ConfigDict(imports=[], allow_failed_imports=False)
    cfg.custom_imports = ConfigDict(imports, imports=[*_listed(imports['imports']), 'kddet'])
    return cfg


def add_hooks(cfg: Config) -> None:
    """Add :class:`kddet.TermWatchHook` and :class:`kddet.PlainCheckpointHook` to a distillation config without them."""
    for kind in HOOKS if is_distillation(cfg) else ():
        add_hook(cfg, kind)


def diagnose_methods(cfg: Config, interval: int) -> None:
    """Add a :class:`kddet.MethodDiagnosticsHook` to a distillation config, or give its own another interval.

    Raises:
        ValueError: the config has no methods, or the interval is not at least one iteration.
    """
    if not is_distillation(cfg):
        raise ValueError(f'method diagnostics look at the terms of methods, and the model of the config is a plain '
                         f'{cfg.model.get("type")}; add --method, or leave --method-diagnostics out')
    if interval < 1:
        raise ValueError(f'method diagnostics every {interval} iterations: give 1 or more')
    hooks = cfg.get('custom_hooks') or []
    own = next((hook for hook in hooks if hook.get('type') == DIAGNOSTICS), None)
    cfg.custom_hooks = [*(hook for hook in hooks if hook is not own), dict(own or dict(type=DIAGNOSTICS),
                                                                           interval=interval)]


def _listed(imports: Any) -> list[str]:
    return [imports] if isinstance(imports, str) else list(imports)
