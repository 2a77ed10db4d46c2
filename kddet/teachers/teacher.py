"""One teacher of a Distiller: its detector, its cache, and what the methods that read it ask for."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from torch import Tensor

from kddet.methods.base import DistillMethod
from kddet.options import check_options
from kddet.recording.probe import probe
from kddet.recording.recorder import Records
from kddet.recording.rois import check_stages, recorded_rois, roi_taps
from kddet.student_wrapper import Unregistered, random_state_kept

from .base import BaseTeacher
from .frozen import build_teacher, without_cache
from .settings import called, methods_of

if TYPE_CHECKING:
    from kddet.cache.teacher_cache import TeacherCache

NOT_OF_OUTPUTS = ('config', 'checkpoint', 'strict', 'trust_checkpoint', 'class_map', 'cache', 'input_scale', 'type',
                  'model', 'classes')


class Teacher:
    """Runs for the methods that read it, as deep as they ask, and not at all while none of them is on.

    It holds its detector out of ``nn.Module``'s sight; a deep copy (EMA) shares detector and cache.

    Args:
        name: in ``teachers``, or ``''``.
        settings: of a Distiller's ``teacher``.
        readers: names of the methods that read it.
    """

    def __init__(self, name: str, settings: Mapping[str, Any], readers: Iterable[str]) -> None:
        self.name, self.settings, self.readers = name, settings, frozenset(readers)
        self.cache = build_cache(settings.get('cache'), name)
        self._model = Unregistered(build_teacher(without_cache(settings)))

    @property
    def file(self) -> str:
        """Where its weights are."""
        return str(self.settings.get('checkpoint') or self.settings.get('model'))

    @property
    def model(self) -> BaseTeacher:
        return self._model.module

    def apply(self, fn) -> None:
        """Move or convert it with the Distiller."""
        self._model.apply(fn)

    def taps(self, methods: Mapping[str, DistillMethod]) -> list[str]:
        """What those of ``methods`` that read it ask for."""
        return taps_of({name: method for name, method in methods.items() if name in self.readers}, 'teacher_taps')

    def probe(self, student: Any, methods: Mapping[str, DistillMethod], size: int) -> Records:
        """Records of the probe image, as the methods are built from.

        Args:
            size: of the sides of the student's, in pixels.

        Raises:
            ValueError: a tap that is not there, or RoI heads that cannot share RoIs.
        """
        self.model.match_input(student.data_preprocessor)
        taps = self.taps(methods)
        self.model.check_taps(taps)
        if roi_taps(taps):
            check_stages(student, self.model.detector)
        scale = self.model.input_scale
        records = probe(self.model.detector, taps, called(self.name), round(size * scale))
        records.image_size = size, size
        records.anchor_strides = [stride / scale for stride in records.anchor_strides]
        records.class_map = self.model.class_map
        return records

    def bind_cache(self, methods: Mapping[str, DistillMethod]) -> None:
        """Everything that some method will ever read is kept."""
        if self.cache is not None:
            ever_on = {name: method for name, method in methods.items() if method.loss_weight}
            self.cache.bind(self.model, self.taps(ever_on), self.file, {
                key: value for key, value in self.settings.items() if key not in NOT_OF_OUTPUTS})

    def record(self, inputs: Tensor, samples: list, methods: Mapping[str, DistillMethod]) -> Records:
        """What those of ``methods`` that read it ask for of a batch; :meth:`complete` comes before it is read.

        Args:
            inputs: ``(N, 3, H, W)``, as the student's data preprocessor gave it.
            samples: N data samples.
            methods: that are on.
        """
        taps = self.taps(methods)
        return (self.cache or self.model).record(inputs, samples, taps) if taps else Records((), 'teacher')

    def complete(self, records: Records, student: Records, proposals: list[str]) -> None:
        """Add what waited for the student: entries that are read from disk meanwhile, the RoI head on its RoIs.

        Args:
            student: records of its forward on the same batch.
            proposals: taps of its RoI extractors.
        """
        if self.cache is not None:
            self.cache.wait(records)
        if roi_taps(records):
            self.model.replay(records, recorded_rois(student, proposals))


def build_teachers(settings: Mapping[str, Any], methods: Mapping[str, Any]) -> dict[str, Teacher]:
    """Build each from the same random state, so that one more changes nothing for what is built after them.

    Args:
        settings: by name (:func:`kddet.teachers.settings.named_teachers`).
        methods: their configs.
    """
    teachers: dict[str, Teacher] = {}
    for name, own in settings.items():
        with random_state_kept() if len(teachers) + 1 < len(settings) else nullcontext():
            teachers[name] = Teacher(name, own, methods_of(dict(methods=methods), name))
    return teachers


def build_cache(cfg: dict | None, teacher: str) -> TeacherCache | None:
    """It needs safetensors, and a run without a cache does not.

    Raises:
        ValueError: an option that it does not take.
    """
    if not cfg:
        return None
    from kddet.cache.teacher_cache import TeacherCache
    check_options(TeacherCache, cfg, f'cache of the {called(teacher)}')
    return TeacherCache(**cfg)


def taps_of(methods: Mapping[str, DistillMethod], kind: str) -> list[str]:
    """All ``student_taps`` or ``teacher_taps``, each once."""
    return list(dict.fromkeys(tap for method in methods.values() for tap in getattr(method, kind)))
