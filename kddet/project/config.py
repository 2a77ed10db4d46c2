"""Load MMDet configs from wherever a user keeps them, and take the student out of a distillation config."""
from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeAlias

from mmengine.config import Config, ConfigDict
from mmengine.fileio import load
from mmengine.registry import MODELS, DefaultScope

from kddet.options import check_options

from .base_files import check_bases
from .optim import plain_constructor

WRAPPERS = 'kddet.Distiller', 'kddet.LabelEncAutoencoder'
ConfigLike: TypeAlias = str | os.PathLike | dict | Config


def load_config(source: ConfigLike) -> Config:
    """A Config from a path, a ``package::path`` (``'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'``) or a dict.

    Raises:
        FileNotFoundError: no such file, or none that it builds on.
        ValueError: the file cannot be read; the message names it, the line and why.
        ImportError: what the config imports is not there, or fails; or mmengine reads ``package::path`` with
            setuptools' pkg_resources, which is not there.
    """
    if isinstance(source, Config):
        return source
    if isinstance(source, dict):
        return Config(dict(source))
    path = os.path.expanduser(source)
    if '::' not in path and not os.path.isfile(path):
        what = 'is a folder' if os.path.isdir(path) else 'does not exist'
        raise FileNotFoundError(f'config {path!r} {what} (working directory: {os.getcwd()}); '
                                "give a path, or 'package::path' for one that a package ships")
    check_bases(path)
    try:
        if '::' in path:
            from mmengine.hub import get_config
            return get_config(path)
        return Config.fromfile(path)
    except ImportError as error:
        raise ImportError(f'config {path!r} {_import_failure(path, _first_cause(error))}') from error
    except (Exception, SystemExit) as error:  # a config is code: it fails in any way at all
        raise _unreadable(path, error) from error


def write_config(cfg: Config, path: str) -> None:
    """Write a config as a Python file that reads as the same, or nothing.

    Raises:
        ValueError: it holds a value that MMEngine does not write as Python, such as ``inf``.
    """
    try:
        same = Config.fromstring(text := cfg.pretty_text, '.py').to_dict() == cfg.to_dict()
        why = 'read again, it differs'
    except Exception as error:  # the text is code
        same, why = False, f'{type(error).__name__}: {error}'.partition('\n')[0]
    if not same:
        raise ValueError(f'the config cannot be written to {path} as MMEngine writes configs ({why}); values must be '
                         'numbers, strings, lists and dicts, and finite')
    Path(path).write_text(text)


def check_parts(cfg: Config, *keys: str) -> None:
    """Refuse a config that lacks a part.

    Args:
        keys: of the parts, ``'train_dataloader'`` and the like; ``'model'`` must be a detector.

    Raises:
        ValueError: names those that are missing.
    """
    if 'model' in keys:
        is_distillation(cfg)
    if missing := [key for key in keys if not isinstance(cfg.get(key), (dict, list))]:
        raise ValueError(f'{cfg.filename or "the config"} has no {", ".join(missing)}, which this needs; build on a '
                         'whole config of a detector (_base_), or write them')


def is_distillation(cfg: Config) -> bool:
    """Whether the config's model is a Distiller, or another wrapper of kddet's around a ``student``.

    Raises:
        ValueError: the config has no model.
    """
    model = cfg.get('model')
    if not isinstance(model, dict) or not model.get('type'):
        what = f'has the type {model.get("type")!r}' if isinstance(model, dict) else f'is {model!r}'
        raise ValueError(f'{cfg.filename or "the config"} is not the config of a detector: its model {what}; it must '
                         "be model=dict(type='...', ...)")
    return type_name(model.get('type')) in WRAPPERS


def check_wrapper(cfg: Config) -> None:
    """Refuse options that the wrapper of kddet's around a config's ``student`` does not take.

    Raises:
        ValueError: names the option, and what is allowed.
    """
    kind = cfg.model.type
    kind = MODELS.get(kind) if isinstance(kind, str) else kind
    check_options(kind, {key: value for key, value in cfg.model.items() if key not in ('type', '_scope_')}, 'the model')
    if not cfg.model.student.get('type'):
        raise ValueError(f"{cfg.filename or 'the config'}: student has no type; it must be the model of a plain "
                         "detector, student=dict(type='...', ...)")


def type_name(kind: Any) -> str:
    """``'kddet.Distiller'`` of a type in a config: the name itself, a dotted path that ends in it, or the class."""
    name = kind if isinstance(kind, str) else f'{getattr(kind, "__module__", "")}.{getattr(kind, "__qualname__", "")}'
    return f'{name.partition(".")[0]}.{name.rpartition(".")[2]}' if '.' in name else name


def add_hook(cfg: Config, kind: str) -> None:
    """Add a hook of kddet's to a config that has none of this type."""
    hooks = cfg.get('custom_hooks') or []
    if not any(isinstance(hook, dict) and type_name(hook.get('type')) == kind for hook in hooks):
        cfg.custom_hooks = [*hooks, dict(type=kind)]


def student_config(cfg: Config) -> Config:
    """The config of the plain student: the same file with the student as its model and no hook of kddet's.

    A plain MMDet config comes back as it is. Nothing of the teacher is needed to build the result.
    """
    if not is_distillation(cfg):
        return cfg
    plain = cfg.copy()
    plain.model = ConfigDict(plain.model.student)
    if plain.get('optim_wrapper'):
        plain.optim_wrapper = plain_constructor(plain.optim_wrapper)
    if imports := (plain.get('custom_imports') or {}).get('imports'):
        plain.custom_imports.imports = [name for name in ([imports] if isinstance(imports, str) else imports)
                                        if name != 'kddet']
    if plain.get('custom_hooks'):
        plain.custom_hooks = [hook for hook in plain.custom_hooks
                              if not type_name(hook.get('type')).startswith('kddet.')]
    return plain


def build_model(cfg: Config) -> Any:
    """The model of a config with random weights, built as its own Runner would: in its scope, and with the
    ``data_preprocessor`` that stands beside the model where the model has none.
    """
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmdet'):
        return MODELS.build(with_preprocessor(cfg.model, cfg.get('data_preprocessor')))


def build_detector(cfg: Config) -> Any:
    """The plain detector of a config (:func:`build_model`); a distillation config stands for its student."""
    return build_model(student_config(cfg))


def with_preprocessor(model: dict, data_preprocessor: Any) -> dict:
    """The config of a detector with a data preprocessor: its own, or else the one given."""
    return dict(dict(data_preprocessor=data_preprocessor) if data_preprocessor else {}, **model)


def data_sources(dataset: ConfigDict) -> list[ConfigDict]:
    """The data sets inside wrappers such as ``ConcatDataset`` and ``RepeatDataset``, or the data set itself."""
    if 'datasets' in dataset:
        return [source for inner in dataset.datasets for source in data_sources(inner)]
    return data_sources(dataset.dataset) if 'dataset' in dataset else [dataset]


def _import_failure(path: str, error: BaseException) -> str:
    """What an import in a config came to, and what to do."""
    if not isinstance(error, ModuleNotFoundError):
        return f'imports what cannot be imported: {error}'
    name = (error.name or '').partition('.')[0]
    if name == 'pkg_resources':
        return ("refers to 'package::path', which mmengine reads with pkg_resources; setuptools >= 82 no longer has "
                "it: pip install 'setuptools<82'")
    config = Path(path).resolve()
    root = next((folder for pattern in (f'{name}/__init__.py', f'{name}.py', name) for folder in config.parents
                 if (folder / pattern).exists() and folder / pattern != config), None)
    return f'imports {error.name!r}, which Python does not find: ' + (
        f'it lies in {root}, set PYTHONPATH={root}' if root else 'install it, or put its folder on PYTHONPATH')


def _no_dict(file: str) -> str | None:
    """The type of what a json or yaml file holds, where it is no dict."""
    try:
        content = load(file) if file.endswith(('.json', '.yaml', '.yml')) else {}
    except Exception:  # not json, or not yaml: the error says so
        return None
    return None if isinstance(content, dict) else type(content).__name__


def _first_cause(error: BaseException) -> BaseException:
    """Where a chain of exceptions began."""
    while (earlier := error.__cause__ or error.__context__) is not None:
        error = earlier
    return error


def _unreadable(path: str, error: Exception | SystemExit) -> Exception:
    """What a config failed with, the file that it was in, a ``_base_`` perhaps, and the line."""
    if isinstance(error, OSError) and 'type are supported' in str(error):
        return ValueError(f'config {path!r} is not a config; it must be a .py, .json or .yaml file')
    if isinstance(error, AssertionError) and 'does not support to load' in str(error):
        return ValueError(f"config {path!r}: package {path.partition('::')[0]!r} ships no configs that mmengine knows; "
                          "there is 'mmdet::...', and others of OpenMMLab where they are installed")
    files, line, trace, imports = [path], getattr(error, 'lineno', None), error.__traceback__, None
    while trace:
        local = trace.tb_frame.f_locals
        if trace.tb_frame.f_code.co_name in ('_file2dict', '_parse_lazy_import') and 'filename' in local:
            files.append(str(local['filename']))
        if trace.tb_frame.f_code.co_name == 'fromfile' and 'cfg_dict' in local:
            imports = local['cfg_dict'].get('custom_imports')
        if trace.tb_frame.f_code.co_filename in ('', files[-1]):  # code of a config
            line = trace.tb_lineno
        trace = trace.tb_next
    if isinstance(error, FileNotFoundError):
        missing = error.filename or str(error).removeprefix('file "').partition('"')[0]
        others = [file for file in files[1:] if file != missing]
        named = f', which {others[-1]!r} has in its _base_,' if others else f' (of {path})' if '::' in path else ''
        return FileNotFoundError(f'config {missing!r}{named} does not exist; correct the path')
    if imports is not None:  # the file itself was read
        return ValueError(f'custom_imports of config {path!r} is {imports!r}; it must be '
                          f"dict(imports=['my_package.my_module']) ({error})")
    if content := _no_dict(files[-1]):
        return ValueError(f'config {files[-1]!r} holds a {content}; it must be a dict of settings, model and others')
    where = f' (line {line})' if line else ''
    if isinstance(error, SystemExit):
        return ValueError(f'config {files[-1]!r} ends Python itself{where}, by sys.exit({error.code!r}); a config only '
                          'sets values: take that out')
    said = error.msg if isinstance(error, SyntaxError) else str(error).partition('\n')[0]
    return ValueError(f'config {files[-1]!r} cannot be read{where}: {type(error).__name__}: {said}; correct the file')
