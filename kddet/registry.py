"""Child registries of MMEngine's, so that ``type='kddet.X'`` works in any config without ``custom_imports``."""
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_CONSTRUCTORS
from mmengine.registry import Registry

DATASETS = Registry('dataset', parent=MMENGINE_DATASETS, scope='kddet', locations=['kddet'])
MODELS = Registry('model', parent=MMENGINE_MODELS, scope='kddet', locations=['kddet'])
HOOKS = Registry('hook', parent=MMENGINE_HOOKS, scope='kddet', locations=['kddet'])
OPTIM_WRAPPER_CONSTRUCTORS = Registry('optim wrapper constructor', parent=MMENGINE_CONSTRUCTORS, scope='kddet',
                                      locations=['kddet'])
