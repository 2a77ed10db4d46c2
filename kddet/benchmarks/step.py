"""What a distillation step costs beside the student's own step and the teacher's forward, in one process."""
from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor

from kddet.cache import Replay
from kddet.distiller import Distiller
from kddet.labelenc import LabelEncAutoencoder
from kddet.labelenc.detector import num_classes_of
from kddet.project.config import is_distillation, type_name, with_preprocessor
from kddet.recording.recorder import Recorder, Records
from kddet.recording.rois import extractor_taps, recorded_rois, roi_taps
from kddet.registry import MODELS
from kddet.teachers.base import BaseTeacher
from kddet.teachers.settings import named_teachers
from kddet.testing import toy_samples

from .markdown import markdown
from .measure import median_seconds, peak_memory
from .where import where


@dataclass(frozen=True)
class Cost:
    """One line of the table; seconds are medians, memory is beyond what was there before, in MiB."""

    config: str
    device: str
    threads: int
    shape: tuple[int, int, int]  # images, height, width
    amp: bool
    iters: int
    student: float  # (a) the plain student's step: forward, losses, backward, optimizer
    teacher: float  # (b) the teacher's forward as deep as the methods ask, or the label encoder's
    distillation: float  # (c) the whole step
    student_memory: float
    distillation_memory: float
    recorded_memory: float  # of what the methods read of the teacher, or of the encodings
    machine: str
    date: str
    cache: str | None = None  # the type that a warm cache of the teacher keeps, of the distillation step alone

    @property
    def terms(self) -> float:
        """(d) what is left: the methods' own terms."""
        return self.distillation - self.student - self.teacher

    @property
    def over_sum(self) -> float:
        """c / (a + b)"""
        return self.distillation / (self.student + self.teacher)

    @property
    def over_student(self) -> float:
        """c / a"""
        return self.distillation / self.student

    @property
    def memory(self) -> float:
        """The peak of the step over that of the student's and what was recorded."""
        return self.distillation_memory / (self.student_memory + self.recorded_memory)

    def row(self) -> dict:
        return dict(kind='step', **asdict(self))

    @classmethod
    def of(cls, row: dict) -> Cost:
        values: dict[str, Any] = {key: value for key, value in row.items() if key != 'kind'}
        return cls(**values | dict(shape=tuple(row['shape'])))


def measure(cfg: Config, name: str, *, batch: int, height: int, width: int, boxes: int, iters: int, device: str,
            amp: bool = False) -> Cost:
    """Build a distillation config with random weights and time its parts in turn; a cache of its teacher is warm.

    Args:
        name: of the config, for the row.
        batch, height, width: of the images, which are noise.
        boxes: an image, at random.

    Raises:
        ValueError: the config is not a Distiller's.
    """
    check_distiller(cfg, name)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        model = build(cfg, folder).to(device).train()
        inputs, samples = toy_batch(model, batch, height, width, boxes)
        reference = _reference(model, inputs, samples, device, amp)
        steps = dict(student=training_step(model.student, inputs, samples, device, amp), teacher=reference,
                     distillation=training_step(model, inputs, samples, device, amp))
        caches = model.teacher_caches.values()
        for cache in caches:
            cache.open(Replay(), batch)
        if caches:
            steps['distillation']()
        for cache in caches:
            cache.close()
        seconds = median_seconds(steps, iters, device)
        return Cost(
            config=name, shape=(batch, height, width), amp=amp, iters=iters, student=seconds['student'],
            teacher=seconds['teacher'], distillation=seconds['distillation'],
            student_memory=_peak(model, steps['student'], device),
            distillation_memory=_peak(model, steps['distillation'], device), recorded_memory=_mebibytes(reference()),
            cache=', '.join(dict.fromkeys(cache.dtype or 'exact' for cache in caches)) or None, **where(device))


def check_distiller(cfg: Config, name: str) -> None:
    """Refuse a config that has no methods.

    Raises:
        ValueError: says whose model it is.
    """
    if not is_distillation(cfg) or type_name(cfg.model.type) != 'kddet.Distiller':
        raise ValueError(f'{name} is not a distillation config: its model is a {type_name(cfg.model.type)}; give '
                         'one, tools/train.py --method ... --dump-config writes it')


def toy_batch(model: Any, batch: int, height: int, width: int, boxes: int = 8) -> tuple[Tensor, list]:
    """Noise and random boxes, as the model's data preprocessor gives them: ``(N, 3, H, W)`` and data samples.

    Its batch augmentations are left out: some draw another size, and go by the iteration of a run.
    """
    samples = toy_samples(boxes=[random_boxes(boxes, height, width) for _ in range(batch)],
                          sizes=[(height, width)] * batch, num_classes=num_classes_of(model.student))
    data = model.data_preprocessor(samples, False)
    return data['inputs'], data['data_samples']


def random_boxes(count: int, height: int, width: int) -> list[list[float]]:
    """Boxes of 16 px to half the picture, their sides distributed evenly on a logarithmic scale."""
    sides = 16 * (min(height, width) / 32) ** torch.rand(count, 2)
    corner = torch.rand(count, 2) * (torch.tensor([width, height]) - sides)
    return torch.cat([corner, corner + sides], 1).tolist()


def table(costs: list[Cost]) -> str:
    """Markdown: ratios, and pictures a second where they were taken on a GPU."""
    rows = []
    for cost in costs:
        size = ' x '.join(map(str, cost.shape)) + (', amp' if cost.amp else '') + (
            f', cached {cost.cache}' if cost.cache else '')
        speed = '' if cost.device == 'cpu' else f', {cost.shape[0] / cost.distillation:.1f} images/s'
        rows.append([cost.config, size + speed, cost.over_sum, cost.over_student, cost.teacher / cost.student,
                     cost.terms / cost.distillation, cost.memory])
    return markdown(['config', 'images', 'c / (a + b)', 'c / a', 'b / a', 'd / c', 'memory'], rows)


def build(cfg: Config, folder: str) -> Any:
    """The Distiller with random weights, a random first step for LabelEnc, and a cache in the folder if it has one."""
    model, preprocessor = copy.deepcopy(cfg.model), cfg.get('data_preprocessor')
    if model.student.get('backbone', {}).get('init_cfg'):
        model.student.backbone.init_cfg = None
    for teacher in named_teachers(model).values():
        if 'config' in teacher:  # a model from outside has its weights in it
            teacher.checkpoint = None
        if teacher.get('cache'):
            teacher.cache.update(dir=f'{folder}/cache', max_gb=None, on_miss='write')
    for method in model.methods.values():
        if type_name(method.type) == 'kddet.LabelEnc':
            method.step1 = f'{folder}/step1.pth'
            step1 = LabelEncAutoencoder(model.student, data_preprocessor=preprocessor)
            torch.save(dict(state_dict=step1.state_dict()), method.step1)
    return MODELS.build(with_preprocessor(model, preprocessor))


def training_step(model: Any, inputs: Tensor, samples: list, device: str, amp: bool = False,
                  forward: Callable[[], dict] | None = None) -> Callable[[], None]:
    """A whole step of training on a batch, at a learning rate that leaves the weights where they are.

    Args:
        forward: gives the losses, where it is not the model's own :meth:`loss` (DDP).
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=1e-9)

    def step() -> None:
        optimizer.zero_grad()
        with _autocast(device, amp):
            losses = forward() if forward else model.loss(inputs, samples)
        model.parse_losses(losses)[0].backward()
        optimizer.step()
    return step


def _reference(model: Distiller, inputs: Tensor, samples: list, device: str, amp: bool) -> Callable[[], list[Records]]:
    """What the methods read beside the student: teachers, on the student's RoIs where they have any, or encodings."""
    methods = list(model.methods.values())
    taps = {name: list(dict.fromkeys(tap for own, method in model.methods.items() if model.teacher_of(own) is teacher
                                     for tap in method.teacher_taps)) for name, teacher in model.teachers.items()}
    rois = _rois(model, inputs, samples) if any(map(roi_taps, taps.values())) else []

    def reference() -> list[Records]:
        with _autocast(device, amp):
            made = [records for method in methods if (records := method.record(samples)) is not None]
            return made + [_recorded(teacher, inputs, samples, taps[name], rois)
                                for name, teacher in model.teachers.items() if taps[name]]
    return reference


def _recorded(teacher: BaseTeacher, inputs: Tensor, samples: list, taps: list[str], rois: list[Tensor]) -> Records:
    records = teacher.record(inputs, samples, taps)
    if roi_taps(taps):
        teacher.replay(records, rois)
    return records


def _rois(model: Distiller, inputs: Tensor, samples: list) -> list[Tensor]:
    taps = extractor_taps(model.student)
    with torch.no_grad(), Recorder(model.student, taps, 'student') as records:
        model.student.loss(inputs, samples)
    return recorded_rois(records, taps)


def _peak(model: Any, step: Callable[[], object], device: str) -> float:
    """Of a step that begins without gradients, as every step does."""
    for parameter in model.parameters():
        parameter.grad = None
    return peak_memory(step, device)


def _mebibytes(recorded: list[Records]) -> float:
    """Of all tensors in records, each counted once."""
    found = {tensor.data_ptr(): tensor.nbytes for records in recorded for tensor in records.tensors()}
    return sum(found.values()) / 2**20


def _autocast(device: str, amp: bool) -> AbstractContextManager:
    return torch.autocast(torch.device(device).type) if amp else nullcontext()
