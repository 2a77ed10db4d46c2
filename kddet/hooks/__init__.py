"""MMEngine hooks."""
from .loss_weight import LossWeightHook

__all__ = ['LossWeightHook']
