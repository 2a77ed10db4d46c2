"""The teacher: its weights, its classes, its input."""
from __future__ import annotations

from typing import Any

from mmengine.config import Config
from torch import Tensor, nn

from kddet.project.classes import Classes, config_classes, teacher_classes
from kddet.project.config import data_sources, load_config, student_config
from kddet.teachers.base import BaseTeacher
from kddet.teachers.external.teacher import ExternalTeacher
from kddet.teachers.pixels import pixel_statistics

from .report import NOTE, OK, Line

MOST = 12  # names of classes on a line


def weights_line(teacher: BaseTeacher) -> Line:
    """Which tensors of the teacher the checkpoint has; which file a model is from, and what it gives."""
    if isinstance(teacher, ExternalTeacher):
        file = f', sha256 {teacher.checkpoint_hash}' if teacher.checkpoint_hash else ', weights as it has them'
        return Line('teacher', OK, f'{teacher.coverage or teacher.detector.name}{file}',
                    details=[f'gives {teacher.detector.tapped()}'])
    if teacher.coverage is None:
        return Line('teacher', NOTE, 'no checkpoint, its weights are random',
                    "give it what it learned: teacher=dict(checkpoint='...'), --teacher-checkpoint")
    text = f'{teacher.coverage.removeprefix("teacher ")}, sha256 {teacher.checkpoint_hash}'
    if teacher.coverage.endswith('loaded'):
        return Line('teacher', OK, text)
    return Line('teacher', NOTE, text, 'what is missing stays random: give the checkpoint of this config, strict=True '
                'lists the keys')


def classes_line(cfg: Config, settings: Any, compared: bool) -> Line:
    """Both lists beside each other, and how they meet.

    Args:
        settings: of the teacher in the config.
        compared: some method compares the scores or boxes of classes.
    """
    own, other = config_classes(cfg), teacher_classes(settings)
    if 'model' in settings and not compared and other is None:
        return Line('classes', OK, "the teacher's are not known by name, and no method compares scores or boxes of "
                    'classes')
    if own is None or other is None:
        return Line('classes', NOTE, f'those of the {"student" if own is None else "teacher"} are not known by name; '
                    'their order is taken for the same', 'name them: metainfo=dict(classes=...) of the data set, '
                    'classes=[...] of an external teacher')
    if (pairs := settings.get('class_map')) is not None:
        return _mapped(own, other, pairs)
    if own == other:
        return Line('classes', OK, f'the same {len(own)}: {_named(own)}')
    lists = [f'student {len(own)}: {_named(own)}', f'teacher {len(other)}: {_named(other)}']
    return Line('classes', NOTE if compared else OK, 'they differ' if compared else
                'they differ, and no method compares scores or boxes of classes',
                "teacher=dict(class_map='auto'), --class-map auto" if compared else '', lists)


def input_lines(cfg: Config, settings: Any, student: nn.Module, teacher: BaseTeacher) -> list[Line]:
    """What the teacher sees: pixels, padding, size.

    Args:
        settings: of the teacher in the config.
        student: its data preprocessor.
    """
    own, other = student, teacher.detector.data_preprocessor
    lines = [Line('input', OK, f'normalised alike: {_pixels(own)}')]
    if isinstance(teacher, ExternalTeacher) and not teacher.normalised:
        lines = [Line('input', NOTE, f"normalised as for the student, {_pixels(other)}: the teacher's own is not given",
                      'if it was trained otherwise: teacher=dict(mean=[...], std=[...], bgr_to_rgb=...)')]
    elif teacher.renormalise is not None:
        lines = [Line('input', OK, "the student's batch is normalised again for the teacher",
                      details=[f'student: {_pixels(own)}', f'teacher: {_pixels(other)}'])]
    divisors = [getattr(preprocessor, 'pad_size_divisor', 1) for preprocessor in (own, other)]
    if divisors[0] % divisors[1]:
        lines.append(Line('padding', OK, f'to multiples of {divisors[0]}, for the teacher further to multiples of '
                          f'{divisors[1]}'))
    return lines + (_taken(teacher) if isinstance(teacher, ExternalTeacher) else []) + _size(
        cfg, settings, teacher.input_scale)


def _taken(teacher: ExternalTeacher) -> list[Line]:
    """The size of its images, where it takes one alone."""
    if not (size := teacher.detector.input_size):
        return []
    if teacher.resizes:
        return [Line('size', OK, f'the batch is resized to {_times(size)} for the teacher, its maps back (bilinear)')]
    return [Line('size', NOTE, f'the teacher takes images of {_times(size)} (height x width) alone', 'where batches '
                 f'have other sizes: teacher=dict(input_size={size})')]


def _size(cfg: Config, settings: Any, scale: float) -> list[Line]:
    teacher = settings.get('config')
    sizes = [_tested_at(config) for config in (cfg, *([student_config(load_config(teacher))] if teacher else []))]
    if len(sizes) < 2 and scale == 1:
        return []
    if scale != 1:
        return [Line('size', OK, f'the teacher sees the batch at {scale:g} times its size')]
    if None in sizes or sizes[0] == sizes[1]:
        return []
    return [Line('size', NOTE, f'pictures of {_times(sizes[0])} for both, the teacher was tested at {_times(sizes[1])}',
                 'if it does worse at this size: teacher=dict(input_scale=2.0) feeds it the batch at twice its size')]


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


def _mapped(own: Classes, other: Classes, pairs: Any) -> Line:
    renamed = [f'{own[mine]} = {other[theirs]}' if own[mine] != other[theirs] else own[mine] for mine, theirs in pairs]
    left = [name for index, name in enumerate(own) if index not in {mine for mine, _ in pairs}]
    text = f"{len(renamed)} of the student's {len(own)} meet one of the teacher's {len(other)}: {_named(renamed)}"
    if not left:
        return Line('classes', OK, text)
    return Line('classes', NOTE, text, 'methods of features teach these too, those of scores and boxes do not',
                [f'without a partner in the teacher: {_named(left)}'])


def _named(names: Any) -> str:
    return ', '.join(names[:MOST]) + (f' and {len(names) - MOST} more' if len(names) > MOST else '')


def _pixels(preprocessor: nn.Module) -> str:
    mean, std, flipped = pixel_statistics(preprocessor)
    return f'mean {_rounded(mean)}, std {_rounded(std)}, ' + ('RGB' if flipped else 'channels as they are loaded')


def _rounded(values: Tensor) -> str:
    return ' '.join(f'{value:.4g}' for value in values.flatten().tolist())
