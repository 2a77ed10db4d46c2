"""Whether the teacher finds anything at all in the student's pictures."""
from __future__ import annotations

from traceback import walk_tb
from typing import Any

from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.logging import print_log

from kddet.checkpoint import first_line
from kddet.project.evaluation import Evaluation
from kddet.teachers.accuracy import CACHE, OWN_DATA, teacher_accuracy
from kddet.teachers.base import NoDetections
from kddet.teachers.settings import ONE

from .report import NOTE, OK, STOP, Line

TOPIC = 'accuracy'
LEAST = 0.01  # mAP of a teacher that has something to teach
REMEDY = ('is it the checkpoint of this config, trained on these classes in this order, with this preprocessing? '
          '--min-teacher-map changes the threshold, --preflight-images 0 leaves this out')


def accuracy_line(cfg: Config, model: Any, images: int, least: float | None = None, cache: str | None = CACHE,
                  name: str = ONE) -> Line:
    """Measure a teacher on a few validation images.

    A metric that fails on a part of the images is tried on all of them: where it fails there too, so would the first
    validation of the run.

    Args:
        model: the Distiller.
        images: how many; 0 leaves it out.
        least: mAP below which the run stops; one that is given, and not 0, stops a run whose teacher has none as well.
            None is :data:`LEAST`.
        name: of the teacher, where there are several.
    """
    line = _measured(cfg, model, images, LEAST if least is None else least, cache, name)
    if not least or line.verdict != NOTE:
        return line
    return Line(TOPIC, STOP, f'{line.text}, and --min-teacher-map {least:g} is asked for',
                ', or '.join(filter(None, [line.remedy, 'leave --min-teacher-map out'])))


def _measured(cfg: Config, model: Any, images: int, least: float, cache: str | None, name: str) -> Line:
    if not model.teachers[name].trained:
        return Line(TOPIC, NOTE, 'not measured: its weights are random')
    if not images:
        return Line(TOPIC, NOTE, 'not measured', 'leave out --preflight-images 0')
    try:
        return _judged(_found(cfg, model, images, cache, name), least)
    except NoDetections as error:
        return Line(TOPIC, NOTE, f'not measured: {error}', 'tools/visualize.py energy shows where its features are '
                    'strong')
    except FileNotFoundError as error:
        return Line(TOPIC, STOP, f'the validation data is not there: {error}', 'correct val_dataloader and '
                    'val_evaluator; make val_dataloader, val_cfg and val_evaluator None to train without')
    except Exception as error:  # a data set of the user's own may fail in any way on a part of its images
        if _raised_in(error):
            return Line(TOPIC, STOP, f'val_evaluator fails, as it would in the first validation: {_first_line(error)}',
                        'correct it, or what its metrics need of val_dataloader; tools/test.py shows where it fails')
        return Line(TOPIC, NOTE, f'not measured: {_first_line(error)}', 'python tools/test.py on the teacher\'s config '
                    'and checkpoint shows what it can do')


def _found(cfg: Config, model: Any, images: int, cache: str | None, name: str) -> Evaluation:
    try:
        return teacher_accuracy(cfg, images=images, model=model, cache=cache, name=name)
    except Exception as error:
        if _raised_in(error) != 'evaluate':  # what it raises of its settings, or of an image, it will raise again
            raise
        print_log(f'the validation metrics fail on {images} images ({_first_line(error)}); all are tried', 'current')
    return teacher_accuracy(cfg, model=model, cache=cache, name=name)


def _raised_in(error: BaseException) -> str | None:
    """The method of MMEngine's Evaluator that an error came out of, ``process`` and the like, if any."""
    return next((frame.f_code.co_name for frame, _ in walk_tb(error.__traceback__)
                 if isinstance(frame.f_locals.get('self'), Evaluator)), None)


def _judged(found: Evaluation, least: float) -> Line:
    where = f'{found.images} of {found.of} images of {found.where}' + (
        f', {len(found.of_classes)} classes' if found.of_classes is not None else '')
    if found.mean_ap is None:
        return Line(TOPIC, NOTE, f'no mAP on {where}: {", ".join(map(str, found.metrics.items()))}', 'more images, '
                    '--preflight-images, if these have no object')
    text = f'the teacher has mAP {found.mean_ap:.3f} on {where}'
    if found.mean_ap < least:
        return Line(TOPIC, STOP, f'{text}, less than {least:g}: it has nothing to teach', REMEDY)
    own = found.where == OWN_DATA  # which no other figure is of
    return Line(TOPIC, OK, text, measured={} if own else dict(
        mAP=found.mean_ap, images=found.images, of=found.of, classes=len(found.of_classes or ())))


def _first_line(error: Exception) -> str:
    said = first_line(error)
    return said if isinstance(error, ValueError) or said == type(error).__name__ else f'{type(error).__name__}: {said}'
