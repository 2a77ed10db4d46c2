"""The Distiller: a plain student and its frozen teachers in one MMDet model."""
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from mmengine.model import ModuleDict
from torch import Tensor

from kddet.diagnostics.gradients import reaches
from kddet.errors import RunFailed
from kddet.methods.base import DistillMethod
from kddet.options import check_options
from kddet.recording.probe import at_fitting_size, probe
from kddet.recording.recorder import Recorder, Records
from kddet.recording.rois import extractor_taps, roi_taps
from kddet.registry import MODELS
from kddet.student_wrapper import StudentWrapper, random_state_kept
from kddet.teachers.base import BaseTeacher
from kddet.teachers.frozen import teacher_class, without_cache
from kddet.teachers.settings import called, check_all_read, check_reader, check_teachers, method_options, teacher_of
from kddet.teachers.teacher import build_cache, build_teachers, taps_of
from kddet.unlabelled import check_unlabelled, forward_unlabelled, labelled_first

if TYPE_CHECKING:
    from kddet.cache.teacher_cache import TeacherCache

CHECKED = -1
NOTHING = Records((), 'teacher')  # of methods that read no teacher
PATIENCE = 20  # iterations: a batch without proposals has no loss on RoIs


@MODELS.register_module()
class Distiller(StudentWrapper):
    """Trains ``student`` with its own losses and those of ``methods``; validates, tests and saves the student alone.

    Checkpoints are the student's (:class:`StudentWrapper`). With all weights at 0 the losses, the gradients and the
    random numbers drawn are those of the plain student, bit for bit.

    Args:
        student: config of any MMDet detector.
        teacher: keyword arguments of :class:`kddet.FrozenTeacher`: ``config`` and ``checkpoint``; or those of another
            kind, ``type='kddet.ExternalTeacher'``. May be left out where no method reads a teacher. ``cache``,
            arguments of :class:`kddet.cache.teacher_cache.TeacherCache`, keeps its outputs on disk.
        methods: ``{name: config of a DistillMethod}``; the name is used in the log (``loss_<name>``). Among several
            teachers, ``teacher='name'`` in the config of a method says which it reads.
        data_preprocessor: of the student, where its config has none.
        teachers: in place of ``teacher``, several by names: ``{name: settings as those of one}``.

    Raises:
        ValueError: no method, a tap that is not there, features that cannot be compared: all when it is built.
    """

    def __init__(self, student: dict, teacher: dict | None = None, methods: dict | None = None,
                 data_preprocessor: dict | None = None, teachers: dict | None = None) -> None:
        settings = check_methods(teacher, methods, teachers)
        super().__init__(student, data_preprocessor)
        with random_state_kept():
            self._teachers = build_teachers(settings, methods or {})
            self.taught_by = {name: teacher_of(cfg) for name, cfg in (methods or {}).items()}  # names in `teachers`
            # in the order of their names, in which MMEngine writes configs: a config read again trains the same
            self.methods = ModuleDict({name: MODELS.build(method_options(cfg))
                                       for name, cfg in sorted((methods or {}).items())})
            self._check()
            self._build_methods()
            for own in self._teachers.values():
                own.bind_cache(self.methods)
        self.check_names()
        self._gradients: dict[tuple[str, str], int] = {}  # terms: iterations without a gradient, or CHECKED

    @property
    def teacher(self) -> BaseTeacher | None:
        """The teacher, where there is one at most.

        Raises:
            ValueError: there are several.
        """
        if len(self._teachers) > 1:
            raise ValueError(f'the Distiller has several teachers, {", ".join(self._teachers)}: read its `teachers`')
        return next(iter(self.teachers.values()), None)

    @property
    def teachers(self) -> dict[str, BaseTeacher]:
        """All by their names; one that was given as ``teacher`` has the name ``''``."""
        return {name: own.model for name, own in self._teachers.items()}

    @property
    def teacher_caches(self) -> dict[str, TeacherCache]:
        """Of those teachers that have one."""
        return {name: own.cache for name, own in self._teachers.items() if own.cache is not None}

    def teacher_of(self, method: str) -> BaseTeacher | None:
        """The teacher that a method reads.

        Args:
            method: its name.
        """
        return self.teachers.get(self.taught_by[method])

    def loss(self, batch_inputs: Tensor, batch_data_samples: list) -> dict:
        """The student's own losses and ``loss_<name>`` of each method, weighted.

        Args:
            batch_inputs: ``(N, 3, H, W)``, normalised and padded.
            batch_data_samples: with ``gt_instances``.
        """
        active = {name: method for name, method in self.methods.items() if method.weight}
        batch_inputs, batch_data_samples, labelled = labelled_first(batch_inputs, batch_data_samples)
        if labelled < len(batch_inputs):
            check_unlabelled(active)
        read = {name: own.record(batch_inputs, batch_data_samples, active) for name, own in self._teachers.items()}
        made = {name: method.record(batch_data_samples) for name, method in active.items()}
        proposals = extractor_taps(self.student) if any(map(roi_taps, read.values())) else []
        taps = dict.fromkeys([*taps_of(active, 'student_taps'), *proposals])
        with Recorder(self.student, taps, 'student') as student_records:
            losses = dict(self.student.loss(batch_inputs[:labelled], batch_data_samples[:labelled]))
        if labelled < len(batch_inputs):
            forward_unlabelled(self.student, batch_inputs[labelled:], student_records)
        for name, own in self._teachers.items():
            own.complete(read[name], student_records, proposals)
        _scale(losses, {key: factor for method in active.values()
                        for key, factor in method.student_factors(method.weight).items()})
        for name, method in self.methods.items():
            if name in active:
                taught = read.get(self.taught_by[name], NOTHING) if made[name] is None else made[name]
                terms = method(student_records, taught, batch_data_samples)
                self._check_gradient(name, terms)
                _add(losses, name, _named(name, terms, method.weight))
            elif (zero := method.untouched()) is not None:
                _add(losses, name, {f'loss_{name}': zero})
        return losses

    def init_weights(self) -> None:
        """Initialise the student exactly as if it stood alone, then the adapters, then what methods start it from."""
        super().init_weights()
        with random_state_kept():
            for method in self.methods.values():
                if method.loss_weight:
                    method.init_student(self.student)

    def _apply(self, fn, *args, **kwargs):
        for own in self._teachers.values():
            own.apply(fn)
        return super()._apply(fn, *args, **kwargs)

    def _check_gradient(self, name: str, terms: dict[str, Tensor]) -> None:
        """Once a term, where it first has a gradient in training: can it change the student at all?"""
        if not torch.is_grad_enabled():
            return
        for key, loss in terms.items():
            seen = self._gradients.get((name, key), 0)
            if seen == CHECKED or not key.startswith('loss'):
                continue
            self._gradients[name, key] = CHECKED if loss.requires_grad else seen + 1
            trained = [parameter for parameter in self.student.parameters() if parameter.requires_grad]
            if trained and (not reaches(loss, trained) if loss.requires_grad else seen + 1 >= PATIENCE):
                raise RunFailed(f'loss_{name}{key[4:]} has no gradient to any parameter of the student that trains: '
                                'what it compares lies before the first layer that is not frozen, or was detached')

    def _check(self) -> None:
        if not len(self.methods):
            raise ValueError("the Distiller has no methods; give methods=dict(hint=dict(type='kddet.HintLearning')) "
                             'or train the student config itself')
        for name, method in self.methods.items():
            if not isinstance(method, DistillMethod):
                raise ValueError(f'method {name!r} is a {type(method).__name__}, it must be a kddet.DistillMethod')
            if 'loss' in name:
                raise ValueError(f"method name {name!r} contains 'loss'; MMEngine adds up every logged value with "
                                 "'loss' in its name, choose another")
            if method.needs_teacher and not self._teachers:
                raise ValueError(f'method {name!r} ({type(method).__name__}) reads the teacher, which is not given: '
                                 "teacher=dict(config='...', checkpoint='...')")

    def _build_methods(self) -> None:
        """Infer channels, strides and levels from one probe image through all models."""
        for name, method in self.methods.items():
            teacher = self.teacher_of(name)
            method.bind(self.student, teacher and teacher.detector)
        detectors = [self.student, *(own.detector for own in self.teachers.values())]
        student, read = at_fitting_size(detectors, self._probe)
        scaled: dict[str, str] = {}
        for name, method in self.methods.items():
            method.build(student, read.get(self.taught_by[name], NOTHING))
            if not method.loss_weight:  # never on: no part in the optimizer, in DDP, or in the norm of the gradients
                method.requires_grad_(False)
            for key in (key for key, factor in method.student_factors(method.weight).items() if factor != 1):
                if key in scaled:
                    raise ValueError(f'methods {scaled[key]!r} and {name!r} both scale the {key!r} of the student; '
                                     'leave one of them out, or choose different `heads`')
                scaled[key] = name

    def _probe(self, size: int) -> tuple[Records, dict[str, Records]]:
        """Records of the student, and of each teacher on the same image, of so many pixels a side."""
        student = probe(self.student, taps_of(self.methods, 'student_taps'), 'student', size)
        return student, {name: own.probe(self.student, self.methods, size) for name, own in self._teachers.items()}


def check_methods(teacher: dict | None, methods: dict | None, teachers: dict | None = None) -> dict[str, Any]:
    """Refuse settings that teachers or methods do not take, before anything is built or loaded.

    Returns:
        The settings of the teachers by their names (:func:`kddet.teachers.settings.named_teachers`).

    Raises:
        ValueError: names the setting, and what is allowed.
    """
    given = check_teachers(teacher, teachers)
    for name, own in given.items():
        options = {key: value for key, value in without_cache(own).items() if key != 'type'}
        check_options(teacher_class(own), options, called(name))
        build_cache(own.get('cache'), name)
    if methods and not isinstance(methods, Mapping):
        raise ValueError(f"methods is {methods!r}, it must be methods=dict(name=dict(type='kddet...'))")
    for name, cfg in (methods or {}).items():
        if not isinstance(cfg, Mapping) or not cfg.get('type'):
            raise ValueError(f"method {name!r} is {cfg!r}, it must be dict(type='kddet...', ...)")
        kind = MODELS.get(cfg['type']) if isinstance(cfg['type'], str) else cfg['type']
        if isinstance(kind, type) and issubclass(kind, DistillMethod):
            options = {key: value for key, value in method_options(cfg).items() if key != 'type'}
            check_options(kind, options, f'method {name!r}')
            check_reader(name, cfg, kind.__name__, bool(teachers) and _reads_teacher(kind, options), given)
    check_all_read(given, methods or {})
    return given


def _reads_teacher(kind: type[DistillMethod], options: dict[str, Any]) -> bool:
    """As its class says, or else one of its objects."""
    if isinstance(kind.needs_teacher, bool):
        return kind.needs_teacher
    with random_state_kept():
        return kind(**options).needs_teacher


def _scale(losses: dict, factors: dict[str, float]) -> None:
    for key in losses.keys() & factors.keys():
        value = losses[key]
        losses[key] = [item * factors[key] for item in value] if isinstance(value, list) else value * factors[key]


def _named(name: str, terms: dict[str, Tensor], weight: float) -> dict[str, Tensor]:
    named = {}
    for key, value in terms.items():
        if key.startswith('loss'):
            named[f'loss_{name}{key[4:]}'] = value * weight
        elif 'loss' in key:
            raise ValueError(f"method {name!r} returns {key!r}: a loss starts with 'loss', and the name of a "
                             'statistic does not contain it, because MMEngine adds up what does')
        else:
            named[f'{name}_{key}'] = value.detach()
    return named


def _add(losses: dict, name: str, terms: dict[str, Tensor]) -> None:
    taken = losses.keys() & terms.keys()
    if taken:
        raise ValueError(f'method {name!r} would log {sorted(taken)}, which the student or another method logs '
                         'already; give the method another name')
    losses.update(terms)
