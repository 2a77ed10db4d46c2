"""Distillation methods, one file a method."""
from .adl import AdaptiveDistillation
from .base import DistillMethod
from .bounded_regression import TeacherBoundedRegression
from .chen2017 import Chen2017
from .fgfi import FineGrainedImitation
from .hint import HintLearning
from .labelenc import LabelEnc
from .weighted_classification import WeightedClassification

__all__ = ['AdaptiveDistillation', 'Chen2017', 'DistillMethod', 'FineGrainedImitation', 'HintLearning', 'LabelEnc',
           'TeacherBoundedRegression', 'WeightedClassification']
