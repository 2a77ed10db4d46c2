"""The teacher: its weights, its input."""
from __future__ import annotations

from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor, nn

from kddet.finite import broken_tensors
from kddet.project.config import data_sources, load_config, student_config, type_name
from kddet.teachers.base import BaseTeacher
from kddet.teachers.external.teacher import ExternalTeacher
from kddet.teachers.pixels import pixel_statistics
from kddet.teachers.settings import ONE, how_to_set

from .report import NOTE, OK, STOP, Line


def weights_line(teacher: BaseTeacher) -> Line:
    """Which tensors of the teacher the checkpoint has; which file a model is from, and what it gives."""
    if broken := broken_tensors(teacher.detector):
        return Line('teacher', STOP, f'{len(broken)} of its tensors hold nan or inf, the first is {broken[0]}: its '
                    'training broke down, or the file is damaged', 'give an earlier checkpoint')
    if isinstance(teacher, ExternalTeacher):
        file = f', sha256 {teacher.checkpoint_hash}' if teacher.checkpoint_hash else ', weights as it has them'
        return Line('teacher', OK, f'{teacher.coverage or teacher.detector.name}{file}',
                    details=[f'gives {teacher.detector.tapped()}'])
    if teacher.coverage is None:
        return Line('teacher', NOTE, 'no checkpoint, its weights are random',
                    "give it what it learned: --teacher-checkpoint, in a config teacher=dict(checkpoint='...')")
    text = f'{teacher.coverage.removeprefix("teacher ")}, sha256 {teacher.checkpoint_hash}'
    if teacher.coverage.endswith('loaded'):
        return Line('teacher', OK, text)
    return Line('teacher', NOTE, text, 'what is missing stays random: give the checkpoint of this config; without '
                'strict=False the keys are listed')


def input_lines(cfg: Config, settings: Any, student: nn.Module, teacher: BaseTeacher, name: str = ONE) -> list[Line]:
    """What the teacher sees: pixels, padding, size.

    Args:
        settings: of the teacher in the config.
        student: its data preprocessor.
        name: of the teacher.
    """
    own, other = student, teacher.detector.data_preprocessor
    lines = [Line('input', OK, f'normalised alike: {_pixels(own)}')]
    if isinstance(teacher, ExternalTeacher) and not teacher.normalised:
        lines = [Line('input', NOTE, f"normalised as for the student, {_pixels(other)}: the teacher's own is not given",
                      f'if it was trained otherwise: {how_to_set(name, mean="[...]", std="[...]", bgr_to_rgb="...")}')]
    elif teacher.renormalise is not None:
        lines = [Line('input', OK, "the student's batch is normalised again for the teacher: other "
                      f'{", ".join(_different(own, other))}',
                      details=[f'student: {_pixels(own)}', f'teacher: {_pixels(other)}'])]
    lines[0].details.extend(_resized(cfg))
    divisors = [getattr(preprocessor, 'pad_size_divisor', 1) for preprocessor in (own, other)]
    if divisors[0] % divisors[1]:
        lines.append(Line('padding', OK, f'to multiples of {divisors[0]}, for the teacher further to multiples of '
                          f'{divisors[1]} (pad_size_divisor)'))
    elif divisors[0] != divisors[1] and not isinstance(teacher, ExternalTeacher):
        lines.append(Line('padding', OK, f'to multiples of {divisors[0]}, which are those of {divisors[1]}, as the '
                          'teacher was padded (pad_size_divisor)'))
    return lines + (_taken(teacher, name) if isinstance(teacher, ExternalTeacher) else []) + _size(
        cfg, settings, teacher.input_scale, name)


def _different(student: nn.Module, teacher: nn.Module) -> list[str]:
    """Settings of data preprocessors; a mean is that of a channel, in whatever order."""
    (own_mean, own_std, own_order), (mean, std, order) = pixel_statistics(student), pixel_statistics(teacher)
    if own_order != order:
        own_mean, own_std = own_mean.flip(0), own_std.flip(0)
    return [name for name, same in (('mean', torch.equal(own_mean, mean)), ('std', torch.equal(own_std, std)),
                                    ('bgr_to_rgb', own_order == order)) if not same]


def _resized(cfg: Config) -> list[str]:
    """What the student's data preprocessor does to the size of a batch."""
    model = cfg.get('model') or {}
    preprocessor = (model.get('student') or {}).get('data_preprocessor') or model.get('data_preprocessor') or cfg.get(
        'data_preprocessor') or {}
    found = []
    for augment in preprocessor.get('batch_augments') or ():
        if sizes := augment.get('random_size_range'):
            what = f'resized in the student, in training, to sizes from {sizes[0]} to {sizes[1]}'
        elif isinstance(size := augment.get('scale') or augment.get('size'), (tuple, list)):
            what = f'brought to {_times(size)} in the student, in training'
        else:
            continue
        found.append(f'{what} ({type_name(augment.get("type")).rpartition(".")[2]}); the teacher gets the same tensor')
    return found


def _taken(teacher: ExternalTeacher, name: str) -> list[Line]:
    """The size of its images, where it takes one alone."""
    if not (size := teacher.detector.input_size):
        return []
    if teacher.resizes:
        return [Line('size', OK, f'the batch is resized to {_times(size)} for the teacher, its maps back (bilinear)')]
    return [Line('size', NOTE, f'the teacher takes images of {_times(size)} (height x width) alone', 'where batches '
                 f'have other sizes: {how_to_set(name, input_size=str(size))}')]


def _size(cfg: Config, settings: Any, scale: float, name: str) -> list[Line]:
    teacher = settings.get('config')
    sizes = [_tested_at(config) for config in (cfg, *([student_config(load_config(teacher))] if teacher else []))]
    if len(sizes) < 2 and scale == 1:
        return []
    if scale != 1:
        return [Line('size', OK, f'the teacher sees the batch at {scale:g} times its size')]
    if None in sizes or sizes[0] == sizes[1]:
        return []
    return [Line('size', NOTE, f'pictures of {_times(sizes[0])} for both, the teacher was tested at {_times(sizes[1])}',
                 'if it does worse at this size, feed it the batch at another multiple of its size: '
                 f'{how_to_set(name, input_scale="2.0")}')]


def _tested_at(cfg: Config) -> Any:
    """The ``scale`` of the first transform of the validation pipeline that has one."""
    for source in data_sources((cfg.get('val_dataloader') or Config()).get('dataset', {})):
        for transform in source.get('pipeline') or ():
            scale = transform.get('scale') if isinstance(transform, dict) else None
            if isinstance(scale, (tuple, list)) and len(scale) == 2:
                return tuple(scale)
    return None


def _times(size: Any) -> str:
    return ' x '.join(map(str, size))


def _pixels(preprocessor: nn.Module) -> str:
    mean, std, flipped = pixel_statistics(preprocessor)
    return f'mean {_rounded(mean)}, std {_rounded(std)}, ' + ('RGB' if flipped else 'channels as they are loaded')


def _rounded(values: Tensor) -> str:
    return ' '.join(f'{value:.4g}' for value in values.flatten().tolist())
