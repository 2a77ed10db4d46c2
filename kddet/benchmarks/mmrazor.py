"""A step with MMRazor 1.0.0 beside a step with kddet: the same detectors, the same L2 on the neck, the same batch."""
from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from torch import Tensor

from kddet.registry import MODELS

from .markdown import markdown
from .measure import median_seconds
from .step import toy_batch, training_step
from .where import where

QUANTISATION = [  # of no use here, and not to be imported beside a torch of today
    'engine.runner.quantization_loops', 'models.algorithms.quantization', 'models.fake_quants', 'models.observers',
    'models.quantizers', 'models.utils.quantization_util', 'structures.quantization']
WEIGHT = 0.5


def models(student: ConfigDict, teacher: ConfigDict, device: str) -> tuple[Any, Any]:
    """The two tools' models of one student and one teacher, with the same random weights.

    Args:
        student, teacher: configs of detectors with an FPN.

    Raises:
        ValueError: MMRazor is not installed.
    """
    if importlib.util.find_spec('mmrazor') is None:
        raise ValueError('mmrazor is not installed: pip install --no-deps mmrazor==1.0.0')
    _import_mmrazor()
    razor = _razor_model(student, teacher).to(device)
    own = MODELS.build(dict(
        type='kddet.Distiller', student=student, teacher=dict(config=dict(model=teacher), checkpoint=None),
        methods=dict(hint=dict(type='kddet.HintLearning', adapter=None, loss_weight=WEIGHT)))).to(device)
    own.student.load_state_dict(razor.student.state_dict())
    own.teacher.detector.load_state_dict(razor.teacher.state_dict())
    razor.train()
    return razor, own.train()


def measure_mmrazor(razor: Any, own: Any, *, batch: int, height: int, width: int, iters: int, device: str) -> dict:
    """A row: each tool's whole step over the student's step and the teacher's backbone and neck.

    Raises:
        AssertionError: the two compute different losses, and there is nothing to compare.
    """
    torch.manual_seed(0)
    inputs, samples = toy_batch(own, batch, height, width)
    _check_same(razor, own, inputs, samples)

    @torch.no_grad()
    def teacher_features() -> None:
        own.teacher.detector.extract_feat(inputs)
    seconds = median_seconds(dict(
        student=training_step(own.student, inputs, samples, device), teacher=teacher_features,
        mmrazor=training_step(razor, inputs, samples, device), kddet=training_step(own, inputs, samples, device)),
        iters, device)
    limit = seconds['student'] + seconds['teacher']
    return dict(kind='mmrazor', shape=[batch, height, width], iters=iters, mmrazor=seconds['mmrazor'] / limit,
                kddet=seconds['kddet'] / limit, **where(device))


def mmrazor_table(rows: list[dict]) -> str:
    """Markdown."""
    return markdown(['student <- teacher', 'images', 'MMRazor c / (a + b)', 'kddet c / (a + b)', 'MMRazor / kddet'], [
        [f'{row["student"]} <- {row["teacher"]}', ' x '.join(map(str, row['shape'])), row['mmrazor'], row['kddet'],
         row['mmrazor'] / row['kddet']] for row in rows])


def _check_same(razor: Any, own: Any, inputs: Tensor, samples: list) -> None:
    with torch.no_grad():
        theirs, ours = razor.loss(inputs, samples), own.loss(inputs, samples)
    hint = sum(value for key, value in theirs.items() if key.startswith('distill.'))
    torch.testing.assert_close(hint, ours['loss_hint'], rtol=1e-3, atol=1e-5)


def _razor_model(student: ConfigDict, teacher: ConfigDict) -> Any:
    """Its L2 is a sum over the levels, ours their mean."""
    levels = range(student.neck.num_outs)
    convs = MODELS.build(student.neck).fpn_convs  # Faster R-CNN's last level is pooled
    recorders = {f'level{i}': dict(type='ModuleOutputs', source=f'neck.fpn_convs.{i}.conv') for i in range(len(convs))}
    if len(convs) < len(levels):
        raise ValueError(f'the neck gives {len(levels)} levels of {len(convs)} convolutions; MMRazor records modules, '
                         'take a neck with a convolution a level (RetinaNet, FCOS, ATSS)')
    read = {f'loss_{i}': {f'{side}_feature': dict(from_student=side == 's', recorder=f'level{i}') for side in 'st'}
            for i in levels}
    losses = {key: dict(type='L2Loss', normalize=False, div_element=True, loss_weight=WEIGHT / len(levels))
              for key in read}
    parts = dict(architecture=MODELS.build(student), teacher=MODELS.build(teacher))
    with DefaultScope.overwrite_default_scope('mmrazor'):
        return MODELS.build(dict(type='mmrazor.SingleTeacherDistill', **parts, distiller=dict(
            type='ConfigurableDistiller', student_recorders=recorders, teacher_recorders=recorders,
            distill_losses=losses, loss_forward_mappings=read)))


class _Empty(ModuleType):
    """Holds a class of every name that is asked for."""
    __all__: list[str] = []

    def __getattr__(self, name: str) -> type:
        if name.startswith('__'):
            raise AttributeError(name)
        return type(name, (), {})


def _import_mmrazor() -> None:
    """Without its quantisation, in whose place empty modules stand."""
    for name in QUANTISATION:
        sys.modules.setdefault(f'mmrazor.{name}', _Empty(f'mmrazor.{name}'))
    importlib.import_module('mmrazor.models')
