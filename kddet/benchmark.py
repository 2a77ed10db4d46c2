"""What a distillation step costs beside the student's own step and the teacher's forward, in one process."""
from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor

from kddet.cache import Replay
from kddet.config import is_distillation, with_preprocessor
from kddet.distiller import Distiller
from kddet.labelenc import LabelEncAutoencoder
from kddet.labelenc.autoencoder import num_classes_of
from kddet.measure import median_seconds, peak_memory
from kddet.methods import LabelEnc
from kddet.recorder import Recorder, Records
from kddet.registry import MODELS
from kddet.rois import extractor_taps, recorded_rois, roi_taps
from kddet.studies.runs import hardware
from kddet.testing import toy_samples

HEAD = """# What a distillation step costs

In one process, in turn: the plain student's step (a), the teacher's forward as deep as the methods read it, or the
label encoder's (b), the whole distillation step (c), and what is left of it for the methods' own terms
(d = c - a - b). Memory is the step's peak over that of the student's step and the recorded maps. Written by
`tools/make_results.py` from `results/benchmarks/`, where `tools/benchmark.py CONFIG... --json FILE` puts its rows;
weights are random, pictures noise."""


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
    recorded_memory: float  # of what the methods read of the teacher
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
        return asdict(self)


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
    if not is_distillation(cfg) or cfg.model.type != 'kddet.Distiller':
        raise ValueError(f'{name} is not a distillation config: its model is a {cfg.model.type}')
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        model = _build(cfg, folder).to(device).train()
        samples = toy_samples(boxes=[random_boxes(boxes, height, width) for _ in range(batch)],
                              sizes=[(height, width)] * batch, num_classes=num_classes_of(model.student))
        data = model.data_preprocessor(samples, True)
        inputs, samples = data['inputs'], data['data_samples']
        reference = _reference(model, inputs, samples, device, amp)
        steps = dict(student=_step(model.student, inputs, samples, device, amp), teacher=reference,
                     distillation=_step(model, inputs, samples, device, amp))
        if model.teacher_cache is not None:
            model.teacher_cache.open(Replay(), batch)
            steps['distillation']()
            model.teacher_cache.close()
        seconds = median_seconds(steps, iters, device)
        return Cost(
            name, device if device == 'cpu' else torch.cuda.get_device_name(), torch.get_num_threads(),
            (batch, height, width), amp, iters, seconds['student'], seconds['teacher'], seconds['distillation'],
            peak_memory(steps['student'], device), peak_memory(steps['distillation'], device),
            _mebibytes(reference()), f'{hardware()}, torch {torch.__version__}', date.today().isoformat(),
            model.teacher_cache and (model.teacher_cache.dtype or 'exact'))


def random_boxes(count: int, height: int, width: int) -> list[list[float]]:
    """Boxes of 16 px to half the picture, their sides distributed evenly on a logarithmic scale."""
    sides = 16 * (min(height, width) / 32) ** torch.rand(count, 2)
    corner = torch.rand(count, 2) * (torch.tensor([width, height]) - sides)
    return torch.cat([corner, corner + sides], 1).tolist()


def read_costs(path: Path) -> list[Cost]:
    """The rows that ``tools/benchmark.py --json`` wrote; of two of the same kind the later one."""
    costs = (Cost(**{**json.loads(line), 'shape': tuple(json.loads(line)['shape'])})
             for line in path.read_text().splitlines())
    return list({(cost.config, cost.device, cost.threads, cost.shape, cost.amp, cost.cache): cost
                 for cost in costs}.values())


def page(costs: list[Cost]) -> str:
    """``docs/benchmarks.md``: a table a machine."""
    machines: dict[tuple, list[Cost]] = {}
    for cost in costs:
        machines.setdefault((cost.device, cost.machine, cost.threads), []).append(cost)
    parts = [HEAD]
    for (device, machine, threads), own in machines.items():
        days = sorted({cost.date for cost in own})
        where = f'{threads} threads' if device == 'cpu' else device
        when = ' to '.join(dict.fromkeys((days[0], days[-1])))
        parts.append(f'## {where}; {machine}\n\n{table(own)}\n\n{when}, medians of '
                     f'{min(cost.iters for cost in own)} iterations or more.')
    return '\n\n'.join(parts) + '\n'


def table(costs: list[Cost]) -> str:
    """Markdown: ratios, and seconds where they were taken on a GPU."""
    head = ['config', 'images', 'c / (a + b)', 'c / a', 'b / a', 'd / c', 'memory']
    lines = ['| ' + ' | '.join(head) + ' |', '|' + '---|' * len(head)]
    for cost in costs:
        size = ' x '.join(map(str, cost.shape)) + (', amp' if cost.amp else '') + (
            f', cached {cost.cache}' if cost.cache else '')
        values = (cost.over_sum, cost.over_student, cost.teacher / cost.student, cost.terms / cost.distillation,
                  cost.memory)
        speed = '' if cost.device == 'cpu' else f', {cost.shape[0] / cost.distillation:.1f} images/s'
        lines.append(f'| {cost.config} | {size}{speed} | ' + ' | '.join(f'{value:.2f}' for value in values) + ' |')
    return '\n'.join(lines)


def _build(cfg: Config, folder: str) -> Any:
    """The Distiller with random weights, a random first step for LabelEnc, and a cache in the folder if it has one."""
    model, preprocessor = copy.deepcopy(cfg.model), cfg.get('data_preprocessor')
    if model.student.get('backbone', {}).get('init_cfg'):
        model.student.backbone.init_cfg = None
    if model.get('teacher'):
        model.teacher.checkpoint = None
        if model.teacher.get('cache'):
            model.teacher.cache.update(dir=f'{folder}/cache', max_gb=None, on_miss='write')
    for method in model.methods.values():
        if method.type == 'kddet.LabelEnc':
            method.step1 = f'{folder}/step1.pth'
            step1 = LabelEncAutoencoder(model.student, data_preprocessor=preprocessor)
            torch.save(dict(state_dict=step1.state_dict()), method.step1)
    return MODELS.build(with_preprocessor(model, preprocessor))


def _step(model: Any, inputs: Tensor, samples: list, device: str, amp: bool) -> Callable[[], None]:
    """A whole training step, at a learning rate that leaves the weights where they are."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=1e-9)

    def step() -> None:
        optimizer.zero_grad()
        with _autocast(device, amp):
            losses = model.loss(inputs, samples)
        model.parse_losses(losses)[0].backward()
        optimizer.step()
    return step


def _reference(model: Distiller, inputs: Tensor, samples: list, device: str, amp: bool) -> Callable[[], Records | None]:
    """What the methods read beside the student: the teacher, on the student's RoIs where it has any, or encodings."""
    methods = list(model.methods.values())
    taps = list(dict.fromkeys(tap for method in methods for tap in method.teacher_taps))
    rois = _rois(model, inputs, samples) if roi_taps(taps) else None

    def reference() -> Records | None:
        with _autocast(device, amp):
            for method in methods:
                if isinstance(method, LabelEnc):
                    method.encode(samples)
            if model.teacher is None or not taps:
                return None
            records = model.teacher.record(inputs, samples, taps)
            if rois is not None:
                model.teacher.replay(records, rois)
            return records
    return reference


def _rois(model: Distiller, inputs: Tensor, samples: list) -> list[Tensor]:
    taps = extractor_taps(model.student)
    with torch.no_grad(), Recorder(model.student, taps, 'student') as records:
        model.student.loss(inputs, samples)
    return recorded_rois(records, taps)


def _mebibytes(records: Records | None) -> float:
    """Of all tensors in records, each counted once."""
    found: dict[int, int] = {}

    def count(value: Any) -> None:
        if isinstance(value, Tensor):
            found[value.data_ptr()] = value.numel() * value.element_size()
        elif isinstance(value, (tuple, list)):
            for item in value:
                count(item)
    for calls in (records or {}).values():
        for call in calls:
            count(call.output)
    return sum(found.values()) / 2**20


def _autocast(device: str, amp: bool) -> AbstractContextManager:
    return torch.autocast(torch.device(device).type) if amp else nullcontext()
