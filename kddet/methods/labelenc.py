"""LabelEnc: features of the student against encodings of the labels, from an encoder that was trained before."""
from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from kddet.checkpoint import (
    DISTILLER_PREFIX,
    file_hash,
    load_checkpoint,
    load_weights,
    local_copy,
    state_dict_of,
    student_weights,
)
from kddet.labelenc.detector import (
    NECK,
    NOT_SHARED,
    check_encodings,
    check_neck,
    num_classes_of,
    shared_parts,
)
from kddet.labelenc.distance import LabelAdapter, encoding_distance
from kddet.labelenc.encoder import LabelEncoder
from kddet.labelenc.maps import present_label_map
from kddet.levels import describe_levels
from kddet.project.classes import checkpoint_classes
from kddet.recording.probe import probe
from kddet.recording.recorder import Records, call_of
from kddet.registry import MODELS
from kddet.student_wrapper import Unregistered

from .base import DistillMethod

REMEDY = "Train step 1 with the student's own backbone widths, neck, heads and classes"
ENCODINGS = 'encodings'  # what the records of the label encoder hold
PREFIXES = f'{DISTILLER_PREFIX}encoder.', f'{DISTILLER_PREFIX}encoder_neck.'


@MODELS.register_module()
class LabelEnc(DistillMethod):
    """Step 2 of Hao et al., *LabelEnc* (arXiv:2007.03282); needs no teacher.

    The student's pyramid, through an adapter of three 3x3 convolutions, is compared with what the frozen label encoder
    and its neck make of the ground truth (:func:`kddet.labelenc.encoding_distance`). The student starts from step 1:
    its heads from the shared heads, its neck from the encoder's. The authors switch the loss off after the second drop
    of the learning rate: ``dict(type='kddet.LossWeightHook', method='labelenc', stop=80000, by_epoch=False)``.

    Args:
        step1: checkpoint of a :class:`kddet.LabelEncAutoencoder`, trained with the same neck, heads and classes.
        initialise: start the student's neck and heads from step 1; never with ``loss_weight=0``, which is the plain
            student.
        trust_checkpoint: let the checkpoint unpickle arbitrary objects, which runs code from the file.
        loss_weight: the authors' is 1.

    Raises:
        ValueError: the checkpoint is not of step 1, or its parts do not fit the student's.
    """

    student_taps = (NECK,)
    needs_teacher = False

    def __init__(self, step1: str, initialise: bool = True, trust_checkpoint: bool = False,
                 loss_weight: float = 1.0) -> None:
        super().__init__(loss_weight)
        self.step1, self.initialise = step1, initialise
        try:
            checkpoint = load_checkpoint(step1, trust=trust_checkpoint)
        except FileNotFoundError as error:
            raise FileNotFoundError(f'{error}; step 1 writes it: train a config of a kddet.LabelEncAutoencoder first '
                                    '(configs/labelenc/labelenc-step1_*.py)') from error
        weights = state_dict_of(checkpoint)
        self._encoder, self._encoder_neck = (_below(prefix, weights) for prefix in PREFIXES)
        self._shared = {key: value for key, value in student_weights(checkpoint).items()
                        if key.partition('.')[0] not in NOT_SHARED}
        self.own_classes = checkpoint_classes(checkpoint) if self._encoder else None
        self._frozen = Unregistered(None)

    def bind(self, student: Any, teacher: Any) -> None:
        check_neck(student)
        if not self._encoder or not self._encoder_neck:
            raise ValueError(f'checkpoint {self.step1!r} has no label encoder; step 1 writes one: train a '
                             'kddet.LabelEncAutoencoder (configs/labelenc)')
        records = probe(student, ['backbone', NECK], 'student')
        encoder = LabelEncoder.like(self._encoder, len(records.pyramid('backbone')))
        if encoder.num_classes != (wanted := num_classes_of(student)):
            raise ValueError(f'the label encoder of {self.step1} is made for {encoder.num_classes} classes, the '
                             f'student has {wanted}. {REMEDY}')
        neck = copy.deepcopy(student.neck)
        lines = [load_weights(module, weights, name=f'{name} of {self.step1}', remedy=REMEDY) for module, weights, name
                 in ((encoder, self._encoder, 'label encoder'), (neck, self._encoder_neck, "label encoder's neck"))]
        check_encodings(encoder, neck, records)
        file = local_copy(self.step1)
        print_log(f'{"; ".join(lines)}; sha256 {file_hash(file) if "://" not in file else None}', 'current')
        self._frozen = Unregistered(nn.Sequential(encoder, neck).eval().requires_grad_(False))

    def build(self, student: Records, teacher: Records) -> None:
        levels = student.pyramid(NECK)
        self.adapter = LabelAdapter(levels[0].shape[1])
        self.compared, _ = describe_levels((NECK, 'encodings of the labels'), levels, levels,
                                           [(index, index) for index in range(len(levels))],
                                           [self.adapter] * len(levels), (student.strides(NECK),) * 2)

    def init_student(self, student: Any) -> None:
        """Load the shared heads, those of masks too, and the encoder's neck, unless ``initialise`` is off.

        Raises:
            ValueError: they are not of the student's shapes; the message lists the keys.
        """
        if self.initialise:
            for name, part in shared_parts(student).items():
                load_weights(part, _below(f'{name}.', self._shared), name=f'{name} of {self.step1}', remedy=REMEDY)
            load_weights(student.neck, self._encoder_neck, name=f"label encoder's neck of {self.step1}", remedy=REMEDY)

    def forward(self, student: Records, teacher: Records, samples: list) -> dict[str, Tensor]:
        features = [self.adapter(level) for level in student.pyramid(NECK)]
        return dict(loss=encoding_distance(features, teacher.pyramid(ENCODINGS)))

    def record(self, samples: list) -> Records:
        records = Records([ENCODINGS], 'label encoder')
        records.add(ENCODINGS, call_of(ENCODINGS, self.encode(samples)))
        return records

    @torch.no_grad()
    def encode(self, samples: list) -> tuple[Tensor, ...]:
        """The encodings of a batch's ground truth: a pyramid like that of the student's neck."""
        maps = [present_label_map(sample.gt_instances.bboxes, sample.gt_instances.labels,
                                  size=tuple(sample.batch_input_shape)) for sample in samples]
        return tuple(self._frozen.module(maps))

    def _apply(self, fn, *args, **kwargs):
        self._frozen.apply(fn)
        return super()._apply(fn, *args, **kwargs)


def _below(prefix: str, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
