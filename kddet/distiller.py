"""The Distiller: a plain student and a frozen teacher in one MMDet model."""
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from mmengine.model import ModuleDict
from torch import Tensor

from kddet.errors import RunFailed
from kddet.gradients import reaches
from kddet.levels import PROBE_SIZE
from kddet.methods.base import DistillMethod
from kddet.options import check_options
from kddet.probe import probe
from kddet.recorder import Recorder, Records
from kddet.registry import MODELS
from kddet.rois import check_stages, extractor_taps, recorded_rois, roi_taps
from kddet.student_wrapper import StudentWrapper, Unregistered, random_state_kept
from kddet.teacher import FrozenTeacher, without_cache
from kddet.unlabelled import forward_unlabelled, labelled_first

if TYPE_CHECKING:
    from kddet.cache.teacher_cache import TeacherCache

CHECKED = -1
NOT_OF_OUTPUTS = 'config', 'checkpoint', 'strict', 'trust_checkpoint', 'class_map', 'cache', 'input_scale'
PATIENCE = 20  # iterations: a batch without proposals has no loss on RoIs


@MODELS.register_module()
class Distiller(StudentWrapper):
    """Trains ``student`` with its own losses and those of ``methods``; validates, tests and saves the student alone.

    Checkpoints are the student's (:class:`StudentWrapper`). With all weights at 0 the losses, the gradients and the
    random numbers drawn are those of the plain student, bit for bit.

    Args:
        student: config of any MMDet detector.
        teacher: keyword arguments of :class:`kddet.FrozenTeacher`: ``config`` and ``checkpoint``. May be left out
            where no method reads a teacher. ``cache``, arguments of
            :class:`kddet.cache.teacher_cache.TeacherCache`, keeps its outputs on disk.
        methods: ``{name: config of a DistillMethod}``; the name is used in the log (``loss_<name>``).
        data_preprocessor: of the student, where its config has none.

    Raises:
        ValueError: no method, a tap that is not there, features that cannot be compared: all when it is built.
    """

    def __init__(self, student: dict, teacher: dict | None = None, methods: dict | None = None,
                 data_preprocessor: dict | None = None) -> None:
        check_methods(teacher, methods)
        super().__init__(student, data_preprocessor)
        with random_state_kept():
            self.teacher_cache = _build_cache(teacher.get('cache')) if teacher else None
            self._teacher = Unregistered(FrozenTeacher(**without_cache(teacher)) if teacher else None)
            # in the order of their names, in which MMEngine writes configs: a config read again trains the same
            self.methods = ModuleDict({name: MODELS.build(cfg) for name, cfg in sorted((methods or {}).items())})
            self._check()
            self._build_methods()
            self._bind_cache(teacher or {})
        self.check_names()
        self._gradients: dict[tuple[str, str], int] = {}  # terms: iterations without a gradient, or CHECKED

    @property
    def teacher(self) -> FrozenTeacher | None:
        return self._teacher.module

    def loss(self, batch_inputs: Tensor, batch_data_samples: list) -> dict:
        """The student's own losses and ``loss_<name>`` of each method, weighted.

        Args:
            batch_inputs: ``(N, 3, H, W)``, normalised and padded.
            batch_data_samples: with ``gt_instances``.
        """
        active = {name: method for name, method in self.methods.items() if method.weight}
        batch_inputs, batch_data_samples, labelled = labelled_first(batch_inputs, batch_data_samples)
        teacher_records = self._record_teacher(batch_inputs, batch_data_samples, active)
        proposals = extractor_taps(self.student) if roi_taps(teacher_records) else []
        taps = dict.fromkeys([*_taps(active, 'student_taps'), *proposals])
        with Recorder(self.student, taps, 'student') as student_records:
            losses = dict(self.student.loss(batch_inputs[:labelled], batch_data_samples[:labelled]))
        if labelled < len(batch_inputs):
            forward_unlabelled(self.student, batch_inputs[labelled:], active, student_records)
        if self.teacher_cache is not None:
            self.teacher_cache.wait(teacher_records)
        if proposals and self.teacher is not None:
            self.teacher.replay(teacher_records, recorded_rois(student_records, proposals))
        _scale(losses, {key: factor for method in active.values()
                        for key, factor in method.student_factors(method.weight).items()})
        for name, method in self.methods.items():
            if name in active:
                terms = method(student_records, teacher_records, batch_data_samples)
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
        self._teacher.apply(fn)
        return super()._apply(fn, *args, **kwargs)

    def _record_teacher(self, inputs: Tensor, samples: list, methods: dict) -> Records:
        taps = _taps(methods, 'teacher_taps')
        if self.teacher is None or not taps:
            return Records((), 'teacher')
        return (self.teacher_cache or self.teacher).record(inputs, samples, taps)

    def _bind_cache(self, teacher: dict) -> None:
        """Everything that some method will ever read is kept."""
        if self.teacher is None or self.teacher_cache is None:
            return
        ever_on = {name: method for name, method in self.methods.items() if method.loss_weight}
        self.teacher_cache.bind(self.teacher, _taps(ever_on, 'teacher_taps'), f'{teacher["checkpoint"]}', {
            key: value for key, value in teacher.items() if key not in NOT_OF_OUTPUTS})

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
            if method.needs_teacher and self.teacher is None:
                raise ValueError(f'method {name!r} ({type(method).__name__}) reads the teacher, which is not given: '
                                 "teacher=dict(config='...', checkpoint='...')")

    def _build_methods(self) -> None:
        """Infer channels, strides and levels from one probe image through both models."""
        for method in self.methods.values():
            method.bind(self.student, self.teacher and self.teacher.detector)
        student = probe(self.student, _taps(self.methods, 'student_taps'), 'student')
        teacher = Records((), 'teacher')
        if self.teacher is not None:
            self.teacher.match_input(self.student.data_preprocessor)
            taps = _taps(self.methods, 'teacher_taps')
            self.teacher.check_taps(taps)
            if roi_taps(taps):
                check_stages(self.student, self.teacher.detector)
            teacher = probe(self.teacher.detector, taps, 'teacher', round(PROBE_SIZE * self.teacher.input_scale))
            teacher.class_map = self.teacher.class_map
        scaled: dict[str, str] = {}
        for name, method in self.methods.items():
            method.build(student, teacher)
            if not method.loss_weight:  # never on: no part in the optimizer, in DDP, or in the norm of the gradients
                method.requires_grad_(False)
            for key in (key for key, factor in method.student_factors(method.weight).items() if factor != 1):
                if key in scaled:
                    raise ValueError(f'methods {scaled[key]!r} and {name!r} both scale the {key!r} of the student; '
                                     'leave one of them out, or choose different `heads`')
                scaled[key] = name


def check_methods(teacher: dict | None, methods: dict | None) -> None:
    """Refuse settings that teacher or methods do not take, before anything is built or loaded.

    Raises:
        ValueError: names the setting, and what is allowed.
    """
    if teacher and not isinstance(teacher, Mapping):
        raise ValueError(f"teacher is {teacher!r}, it must be teacher=dict(config='...', checkpoint='...')")
    check_options(FrozenTeacher, without_cache(teacher or dict(config=None, checkpoint=None)), 'teacher')
    _build_cache((teacher or {}).get('cache'))
    if methods and not isinstance(methods, Mapping):
        raise ValueError(f"methods is {methods!r}, it must be methods=dict(name=dict(type='kddet...'))")
    for name, cfg in (methods or {}).items():
        if not isinstance(cfg, Mapping) or not cfg.get('type'):
            raise ValueError(f"method {name!r} is {cfg!r}, it must be dict(type='kddet...', ...)")
        kind = MODELS.get(cfg['type']) if isinstance(cfg['type'], str) else cfg['type']
        if isinstance(kind, type) and issubclass(kind, DistillMethod):
            check_options(kind, {key: value for key, value in cfg.items() if key != 'type'}, f'method {name!r}')


def _build_cache(cfg: dict | None) -> TeacherCache | None:
    """It needs safetensors, and a run without a cache does not."""
    if not cfg:
        return None
    from kddet.cache.teacher_cache import TeacherCache
    check_options(TeacherCache, cfg, 'cache of the teacher')
    return TeacherCache(**cfg)


def _taps(methods, kind: str) -> list[str]:
    return list(dict.fromkeys(tap for method in methods.values() for tap in getattr(method, kind)))


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
