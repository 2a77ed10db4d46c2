"""The optimizer of a Distiller: the plain student's own groups of parameters, and one for what the methods train."""
from __future__ import annotations

from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as HOST_CONSTRUCTORS
from mmengine.registry import OPTIMIZERS

from kddet.registry import OPTIM_WRAPPER_CONSTRUCTORS, unregistered

DEFAULT = 'DefaultOptimWrapperConstructor'
NAME = 'kddet.StudentOptimWrapperConstructor'


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class StudentOptimWrapperConstructor:
    """Lets a constructor see the student as it sees a plain detector, whose parameters are called ``backbone...``.

    Layer-wise learning rates go by the beginning of names, and find nothing in ``student.backbone...``. What the
    methods train follows in a group of its own, at the optimizer's learning rate and weight decay.

    Args:
        optim_wrapper_cfg: as any constructor's.
        paramwise_cfg: as any constructor's, with ``student_constructor``, the type of the constructor that the student
            gets; MMEngine's default one if it is not there.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        self.optim_wrapper_cfg, own = optim_wrapper_cfg, dict(paramwise_cfg or {})
        self.student_constructor = own.pop('student_constructor', DEFAULT)
        self.paramwise_cfg = own or None

    def __call__(self, model: Any) -> OptimWrapper:
        model = model.module if is_model_wrapper(model) else model
        constructor = HOST_CONSTRUCTORS.build(dict(
            type=self.student_constructor, optim_wrapper_cfg=self.optim_wrapper_cfg, paramwise_cfg=self.paramwise_cfg))
        wrapper = constructor(getattr(model, 'student', model))
        others = {name: parameter for name, parameter in model.named_parameters()
                  if not name.startswith('student.') and parameter.requires_grad} if hasattr(model, 'student') else {}
        if not others:
            return wrapper
        if not isinstance(wrapper, OptimWrapper):
            raise ValueError(f'{self.student_constructor} makes a {type(wrapper).__name__}; what the methods train can '
                             'be added to a single optimizer only')
        group: dict[str, Any] = dict(params=list(others.values()))
        if any('param_names' in own for own in wrapper.optimizer.param_groups):  # torch asks for all or none
            group['param_names'] = list(others)
        wrapper.optimizer.add_param_group(group)
        return wrapper


def check_optimizer(cfg: Config) -> None:
    """Refuse an optimizer that is not registered before anything is built: MMEngine calls None.

    Raises:
        ValueError: names it, and one of a similar name.
    """
    name = (cfg.optim_wrapper.get('optimizer') or {}).get('type')
    with OPTIMIZERS.switch_scope_and_registry(cfg.get('default_scope')) as registry:
        if isinstance(name, str) and registry.get(name) is None:
            raise ValueError(unregistered(name, 'optimizer'))


def student_constructor(optim_wrapper: dict) -> ConfigDict:
    """The user's ``optim_wrapper`` with its constructor, if any, inside a :class:`StudentOptimWrapperConstructor`."""
    cfg = ConfigDict(optim_wrapper)
    own = ConfigDict(cfg.get('paramwise_cfg') or {})
    if constructor := cfg.get('constructor'):
        named = isinstance(constructor, str)
        own.student_constructor = constructor if named else f'{constructor.__module__}.{constructor.__qualname__}'
    cfg.constructor = NAME
    if own:
        cfg.paramwise_cfg = own
    return cfg


def plain_constructor(optim_wrapper: dict) -> ConfigDict:
    """The user's own ``optim_wrapper`` again."""
    cfg = ConfigDict(optim_wrapper)
    if cfg.get('constructor') == NAME:
        del cfg['constructor']
        own = cfg.pop('paramwise_cfg', None) or ConfigDict()
        if 'student_constructor' in own:
            cfg.constructor = own.pop('student_constructor')
        if own:
            cfg.paramwise_cfg = own
    return cfg
