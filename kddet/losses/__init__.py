"""Losses as pure functions of tensors, each with a thin registered module."""
from .hint import HintLoss, hint_loss

__all__ = ['HintLoss', 'hint_loss']
