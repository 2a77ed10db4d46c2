"""Distillation methods, one file a paper."""
from .base import DistillMethod
from .hint import HintLearning

__all__ = ['DistillMethod', 'HintLearning']
