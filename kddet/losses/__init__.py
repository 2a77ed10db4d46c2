"""Losses as pure functions of tensors; what a config chooses by name has a thin registered module, too."""
from .adaptive_distillation import adaptive_distillation_loss
from .bounded_regression import teacher_bounded_l2_loss
from .hint import HintLoss, hint_loss
from .imitation import imitation_loss
from .weighted_cross_entropy import weighted_soft_binary_cross_entropy, weighted_soft_cross_entropy

__all__ = ['HintLoss', 'adaptive_distillation_loss', 'hint_loss', 'imitation_loss', 'teacher_bounded_l2_loss',
           'weighted_soft_binary_cross_entropy', 'weighted_soft_cross_entropy']
