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

NAMES = dict(  # by which a command line asks for them
    hint='kddet.HintLearning', chen2017='kddet.Chen2017', classification='kddet.WeightedClassification',
    regression='kddet.TeacherBoundedRegression', fgfi='kddet.FineGrainedImitation', adl='kddet.AdaptiveDistillation',
    labelenc='kddet.LabelEnc')
