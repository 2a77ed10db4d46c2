"""The columns of a report: teachers, the baseline, and the students that were distilled."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import DefaultScope

from kddet.checkpoint import load_checkpoint, load_weights, student_weights
from kddet.project.classes import measured_classes, teacher_classes
from kddet.project.config import build_detector, load_config, student_config
from kddet.student_wrapper import random_state_kept
from kddet.teachers.accuracy import teacher_step
from kddet.teachers.settings import ONE, called, weights_file

from .accuracy import Accuracy, measure
from .detections import Step, detections
from .run_folder import RunFolder
from .truth import Truth

MARKS = 12  # that page.css has: six colours, drawn through and broken


@dataclass(eq=False)
class Detector:
    """A column.

    Attributes:
        mark: class of its colour in the page: ``teacher``, ``baseline``, ``run0`` ...
        cfg: of the plain detector; None of an external teacher.
        run: that trained it; for a teacher, the first of those that it taught.
        taught_as: the name of a teacher in its run.
        accuracy: None where it could not be measured; of a teacher, on the classes that it shares with the student.
        alone: a teacher's classes that the student does not have.
    """
    name: str
    mark: str
    cfg: Config | None
    checkpoint: str | None
    run: RunFolder
    taught_as: str = ONE
    accuracy: Accuracy | None = None
    alone: Sequence[str] = ()
    _found: list[dict] = field(default_factory=list, repr=False)

    @property
    def teaches(self) -> bool:
        return self.mark == 'teacher'

    def taught(self, run: RunFolder) -> bool:
        """Whether it is a teacher, and one of a run's."""
        own = {name: files for files, name in self.run.teacher_files.items()}.get(self.taught_as)
        return self.teaches and own in run.teacher_files

    def measure(self, truth: Truth, cache: Path, say: Callable[[str], None] = print) -> None:
        """On the data of its run; a teacher on the student's input, as it teaches.

        Args:
            say: is told what takes a while, and what was measured before.

        Raises:
            ValueError, FileNotFoundError: there is no checkpoint, or it does not fit.
        """
        if self.checkpoint is None:
            raise FileNotFoundError(f'no checkpoint in {self.run.path}')
        pairs = measured_classes(self.run.cfg, self.taught_as) if self.teaches else None
        about = [self.cfg and self.cfg.model, *([self._teaching(), pairs] if self.teaches else [])]
        said = (f'{self.name} was measured before, read from {cache}',
                f'measuring {self.name} on {len(truth.files)} pictures')
        with DefaultScope.overwrite_default_scope(self.run.cfg.get('default_scope', 'mmdet')), random_state_kept():
            self._found = detections(self._step, truth, self.run.cfg.val_dataloader, self.checkpoint, about, cache,
                                     lambda anew: say(said[anew]))
        self.accuracy = self.on(truth, [truth.classes[own] for own, _ in pairs] if pairs else truth.classes)
        if pairs:
            shared = {other for _, other in pairs}
            names = teacher_classes(self.run.teachers[self.taught_as]) or ()
            self.alone = [name for index, name in enumerate(names) if index not in shared]

    def on(self, truth: Truth, names: Sequence[str]) -> Accuracy:
        """What it reaches on some of the classes, once :meth:`measure` has run."""
        if self.accuracy and len(names) == len(self.accuracy.classes):
            return self.accuracy
        return measure(truth, self._found, names)

    def build(self) -> Any:
        """With random weights; None where it is no detector of MMDet."""
        return None if self.cfg is None else build_detector(self.cfg)

    def _teaching(self) -> dict:
        """What else decides how a teacher sees the student's batches."""
        options = {key: value for key, value in self.run.teachers[self.taught_as].items()
                   if key not in ('config', 'checkpoint')}
        own = self.run.student
        return dict(options, preprocessor=own.model.get('data_preprocessor') or own.get('data_preprocessor'))

    def _step(self) -> Step:
        if self.teaches:
            return teacher_step(self.run.cfg, self.taught_as)
        detector = self.build()
        load_weights(detector, student_weights(load_checkpoint(str(self.checkpoint))), name=self.name)
        return detector.eval().to(get_device()).val_step


def line_up(runs: Sequence[RunFolder], baseline: RunFolder | None, notes: list[str]) -> list[Detector]:
    """Teachers first, each once, then the baseline, then the runs in their order.

    Args:
        notes: gets a line for each teacher whose config is gone.
    """
    students = [Detector(run.name, 'baseline' if run is baseline else f'run{index % MARKS}', run.student,
                         str(run.checkpoint) if run.checkpoint else None, run)
                for index, run in enumerate(([baseline] if baseline else []) + [*runs], -1 if baseline else 0)]
    first: dict[tuple[str, str], tuple[RunFolder, str]] = {}
    for run in runs:
        for files, name in run.teacher_files.items():
            first.setdefault(files, (run, name))
    alone = len({run.name for run, _ in first.values()}) == 1
    teachers = []
    for run, name in first.values():
        try:
            teachers.append(_teacher(run, name, alone))
        except (FileNotFoundError, ImportError) as error:
            notes.append(f'The {called(name)} of {run.name} is not on this page: {error}')
    return [*teachers, *students]


def _teacher(run: RunFolder, name: str, alone: bool) -> Detector:
    settings: Any = run.teachers[name]
    cfg = student_config(load_config(settings['config'])) if settings.get('config') else None
    title = f'teacher {name}'.strip() + ('' if alone else f' of {run.name}')
    return Detector(title, 'teacher', cfg, weights_file(settings), run, name)
