"""Registries of our own, below MMEngine's, as projects have that are no part of MMDet."""
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import Registry

DATASETS = Registry('dataset', parent=MMENGINE_DATASETS, scope='peas', locations=['peas'])
MODELS = Registry('model', parent=MMENGINE_MODELS, scope='peas', locations=['peas'])
