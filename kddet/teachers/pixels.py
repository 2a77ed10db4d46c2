"""Pixels as one detector was trained to see them, from a batch that was normalised for another."""
from __future__ import annotations

import torch
from torch import Tensor, nn


class Renormalise(nn.Module):
    """``(N, 3, H, W)`` normalised for the student -> the same pixels normalised for the teacher."""

    def __init__(self, scale: Tensor, shift: Tensor, flip_channels: bool, pad_value: float) -> None:
        super().__init__()
        self.scale: Tensor
        self.shift: Tensor
        self.register_buffer('scale', scale, persistent=False)
        self.register_buffer('shift', shift, persistent=False)
        self.flip_channels, self.pad_value = flip_channels, pad_value

    @classmethod
    def between(cls, student: nn.Module, teacher: nn.Module) -> Renormalise | None:
        """None where both see the same input, so that the teacher gets the very same tensor."""
        student_mean, student_std, student_order = pixel_statistics(student)
        teacher_mean, teacher_std, teacher_order = pixel_statistics(teacher)
        flip = student_order != teacher_order
        if flip:  # to the teacher's order of channels, which comes first
            student_mean, student_std = student_mean.flip(0), student_std.flip(0)
        scale, shift = student_std / teacher_std, (student_mean - teacher_mean) / teacher_std
        if not flip and torch.equal(student_mean, teacher_mean) and torch.equal(student_std, teacher_std):
            return None
        return cls(scale, shift, flip, pad_value(teacher))

    def forward(self, inputs: Tensor, samples: list | None) -> Tensor:
        if self.flip_channels:
            inputs = inputs.flip(1)
        inputs = (inputs * self.scale + self.shift).to(inputs.dtype)
        for image, sample in zip(inputs, samples or ()):
            height, width = sample.img_shape[:2]
            image[:, height:] = self.pad_value
            image[:, :, width:] = self.pad_value
        return inputs


def pad_value(preprocessor: nn.Module) -> float:
    return float(getattr(preprocessor, 'pad_value', 0))


def pixel_statistics(preprocessor: nn.Module) -> tuple[Tensor, Tensor, bool]:
    """Mean and std of pixels as ``(3, 1, 1)``, and whether the loader's order of channels is reversed."""
    mean = getattr(preprocessor, 'mean', torch.zeros(1, 1, 1)).float().expand(3, 1, 1)
    std = getattr(preprocessor, 'std', torch.ones(1, 1, 1)).float().expand(3, 1, 1)
    return mean.cpu(), std.cpu(), bool(getattr(preprocessor, '_channel_conversion', False))
