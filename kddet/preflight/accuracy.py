"""Whether the teacher finds anything at all in the student's pictures."""
from __future__ import annotations

from typing import Any

from mmengine.config import Config

from kddet.project.evaluation import Evaluation
from kddet.teachers.accuracy import CACHE, teacher_accuracy
from kddet.teachers.base import NoDetections
from kddet.teachers.settings import ONE

from .report import NOTE, OK, STOP, Line

TOPIC = 'accuracy'
REMEDY = ('is it the checkpoint of this config, trained on these classes in this order, with this preprocessing? '
          '--min-teacher-map changes the threshold, --preflight-images 0 leaves this out')


def accuracy_line(cfg: Config, model: Any, images: int, least: float, cache: str | None = CACHE,
                  name: str = ONE) -> Line:
    """Measure a teacher on a few validation images.

    Args:
        model: the Distiller.
        images: how many; 0 leaves it out.
        least: mAP below which the run stops.
        name: of the teacher, where there are several.
    """
    if not model.teachers[name].trained:
        return Line(TOPIC, NOTE, 'not measured: its weights are random')
    if not images:
        return Line(TOPIC, NOTE, 'not measured', 'leave out --preflight-images 0')
    try:
        found = teacher_accuracy(cfg, images=images, model=model, cache=cache, name=name)
    except NoDetections as error:
        return Line(TOPIC, NOTE, f'not measured: {error}', 'tools/visualize.py energy shows where its features are '
                    'strong')
    except FileNotFoundError as error:
        return Line(TOPIC, STOP, f'the validation data is not there: {error}', 'correct val_dataloader and '
                    'val_evaluator; make val_dataloader, val_cfg and val_evaluator None to train without')
    except Exception as error:  # a data set or a metric of the user's own may fail in any way on a part of its images
        return Line(TOPIC, NOTE, f'not measured: {_first_line(error)}', 'python tools/test.py on the teacher\'s config '
                    'and checkpoint shows what it can do')
    return _judged(found, least)


def _judged(found: Evaluation, least: float) -> Line:
    where = f'{found.images} of {found.of} images of {found.where}' + (
        f', {len(found.of_classes)} classes' if found.of_classes is not None else '')
    if found.mean_ap is None:
        return Line(TOPIC, NOTE, f'no mAP on {where}: {", ".join(map(str, found.metrics.items()))}', 'more images, '
                    '--preflight-images, if these have no object')
    text = f'the teacher has mAP {found.mean_ap:.3f} on {where}'
    if found.mean_ap < least:
        return Line(TOPIC, STOP, f'{text}, less than {least:g}: it has nothing to teach', REMEDY)
    return Line(TOPIC, OK, text)


def _first_line(error: Exception) -> str:
    return f'{str(error).strip().partition(chr(10))[0]}' if isinstance(error, ValueError) else \
        f'{type(error).__name__}: {error}'.partition('\n')[0]
