"""MMEngine hooks."""
from .loss_weight import LossWeightHook
from .term_watch import TermWatchHook

__all__ = ['LossWeightHook', 'TermWatchHook']
