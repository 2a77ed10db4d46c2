"""Child registries of MMEngine's, so that ``type='kddet.X'`` works in any config without ``custom_imports``."""
from collections.abc import Iterator

import mmengine.registry
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_CONSTRUCTORS
from mmengine.registry import Registry

from kddet.options import near

DATASETS = Registry('dataset', parent=MMENGINE_DATASETS, scope='kddet', locations=['kddet'])
MODELS = Registry('model', parent=MMENGINE_MODELS, scope='kddet', locations=['kddet'])
HOOKS = Registry('hook', parent=MMENGINE_HOOKS, scope='kddet', locations=['kddet'])
OPTIM_WRAPPER_CONSTRUCTORS = Registry('optim wrapper constructor', parent=MMENGINE_CONSTRUCTORS, scope='kddet',
                                      locations=['kddet'])


def unregistered(name: str, kind: str) -> str:
    """What to say of a type that no registry of that kind knows.

    Args:
        kind: name of the registries, ``'model'`` for example.
    """
    roots = [own for own in vars(mmengine.registry).values() if isinstance(own, Registry) and own.name == kind]
    registries = [own for root in roots for own in _tree(root)]
    if scopes := sorted({str(own.scope) for own in registries if name in own.module_dict}):
        return (f'{kind} {name!r} is registered in the scope {" and ".join(scopes)}, which is not looked into: write '
                f"default_scope = {scopes[0]!r} in the config, or type='{scopes[0]}.{name}'")
    known = {f'{own.scope}.{module}' if '.' in name else module for own in registries for module in own.module_dict}
    return (f'{kind} {name!r} is not registered{near(name, sorted(known))}; for a class of your own, name the module '
            "that registers it: custom_imports=dict(imports=['my_package.my_module'])")


def _tree(root: Registry) -> Iterator[Registry]:
    yield root
    for child in root.children.values():
        yield from _tree(child)
