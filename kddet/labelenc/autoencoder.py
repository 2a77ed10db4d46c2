"""Step 1 of LabelEnc: a detector and a label encoder that share one head, trained together."""
from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.logging import MessageHub
from mmengine.model import BaseModule, ModuleDict
from torch import Tensor

from kddet.recording.probe import probe
from kddet.recording.recorder import Recorder
from kddet.registry import MODELS
from kddet.student_wrapper import StudentWrapper, random_state_kept
from kddet.unlabelled import check_all_labelled

from .detector import NECK, build_encoder, check_encodings, check_heads, check_neck
from .distance import LabelAdapter, encoding_distance
from .maps import LabelMap, present_label_map


@MODELS.register_module()
class LabelEncAutoencoder(StudentWrapper):
    """Step 1 of Hao et al., *LabelEnc* (arXiv:2007.03282): learn what encodings of the labels a head wants to see.

    Three losses: the student's own; ``reconstruction_*``, its head's on encoded labels in place of features, which
    trains encoder and head; and ``loss_distance`` between adapted features and the encodings, which trains adapter,
    backbone and neck. The authors leave the distance out for the first 30,000 iterations:
    ``dict(type='kddet.LossWeightHook', method='distance', start=30000, by_epoch=False)``.

    The checkpoint is the student's, with ``distiller.encoder`` and ``distiller.encoder_neck`` for step 2
    (:class:`kddet.LabelEnc`).

    Args:
        student: config of a detector with a backbone, a neck and heads that read the neck alone.
        encoder: keyword arguments of :class:`LabelEncoder`; classes and widths are the detector's.
        joint: train the detector too. Otherwise encoder and head learn to reconstruct and no more, the ablation of the
            paper, and backbone and neck stay what they are.
        distance_weight: of ``loss_distance``.
        dim: share of objects, at random, whose label map is dimmed by a random factor; the authors' is 0.5. What is
            drawn follows from seed and iteration: a run that is resumed goes on as if it had not stopped.
        data_preprocessor: of the student, where its config has none.

    Raises:
        ValueError: no neck, or batch norm in the head, which would mix the statistics of features and encodings.
    """

    def __init__(self, student: dict, encoder: dict | None = None, joint: bool = True, distance_weight: float = 1.0,
                 dim: float = 0.5, data_preprocessor: dict | None = None) -> None:
        super().__init__(student, data_preprocessor)
        if not 0 <= distance_weight < float('inf'):
            raise ValueError(f'distance_weight is {distance_weight}, it must be 0 or more')
        if not 0 <= dim <= 1:
            raise ValueError(f'dim is {dim}, it is a share of the objects, 0 to 1')
        check_neck(self.student)
        check_heads(self.student)
        self.joint, self.dim = joint, dim
        with random_state_kept():
            records = probe(self.student, ['backbone', NECK], 'student')
            self.encoder = build_encoder(self.student, records, encoder or {})
            self.encoder_neck = copy.deepcopy(self.student.neck)
            check_encodings(self.encoder, self.encoder_neck, records)
            width = records.pyramid(NECK)[0].shape[1]
            self.methods = ModuleDict(dict(distance=_Distance(width, distance_weight if joint else 0)))
        self.check_names()
        if not joint:
            self.student.backbone.requires_grad_(False)
            self.student.neck.requires_grad_(False)
        if not self.methods['distance'].loss_weight:  # never on: weight decay would erode the adapter
            self.methods.requires_grad_(False)

    def loss(self, batch_inputs: Tensor, batch_data_samples: list) -> dict:
        """The student's own losses, those of the reconstruction, and ``loss_distance``.

        Args:
            batch_inputs: ``(N, 3, H, W)``, normalised and padded.
            batch_data_samples: with ``gt_instances``.
        """
        losses: dict = {}
        check_all_labelled(batch_data_samples, 'LabelEncAutoencoder')
        if self.joint:
            with Recorder(self.student, [NECK], 'student') as features:
                losses |= self.student.loss(batch_inputs, batch_data_samples)
        maps = self.label_maps(batch_data_samples, (batch_inputs.shape[2], batch_inputs.shape[3]))
        reader = self.label_detector()
        with Recorder(reader, [NECK], 'label encoder') as encodings:
            losses |= {f'reconstruction_{key}': value for key, value in reader.loss(maps, batch_data_samples).items()}
        if self.joint:
            losses['loss_distance'] = self.methods['distance'](features.pyramid(NECK), encodings.pyramid(NECK))
        return losses

    def label_maps(self, samples: list, size: tuple[int, int]) -> list[LabelMap]:
        """Label maps of a batch; in training some are dimmed."""
        maps, random = [], dimming_numbers() if self.training and self.dim else None
        for sample in samples:
            instances = sample.gt_instances
            intensity = None
            if random is not None:
                draw = torch.rand(len(instances), generator=random).to(instances.labels.device)
                intensity = (draw / self.dim).clamp(max=1)
            maps.append(present_label_map(instances.bboxes, instances.labels, size=size, intensity=intensity))
        return maps

    def label_detector(self) -> Any:
        """The student's own heads over encoder and neck in place of backbone and neck: its input are label maps."""
        reader = copy.copy(self.student)
        reader.__dict__['_modules'] = dict(self.student._modules, backbone=self.encoder, neck=self.encoder_neck)
        return reader


class _Distance(BaseModule):
    """The adapter and the schedule of its loss; named like a method, for :class:`kddet.LossWeightHook`."""

    def __init__(self, channels: int, loss_weight: float) -> None:
        super().__init__()
        self.adapter = LabelAdapter(channels)
        self.loss_weight = float(loss_weight)
        self.schedule = 1.0

    @property
    def weight(self) -> float:
        return self.loss_weight * self.schedule

    def forward(self, features: Sequence[Tensor], encodings: Sequence[Tensor]) -> Tensor:
        if not self.weight:
            return torch.stack([parameter.sum() * 0 for parameter in self.adapter.parameters()]).sum()
        return self.weight * encoding_distance([self.adapter(level) for level in features], encodings)


def dimming_numbers() -> torch.Generator:
    """Random numbers of the iteration, rank and seed of the run alone, so that a run that is resumed draws the same.

    Outside of a Runner, where no iterations are counted, they follow from torch's own.
    """
    iteration = MessageHub.get_current_instance().get_info('iter')
    if iteration is None:
        return torch.Generator().manual_seed(int(torch.randint(2**31, ())))
    seeds = np.random.SeedSequence((torch.initial_seed(), iteration, get_rank()))
    return torch.Generator().manual_seed(int(seeds.generate_state(1)[0]))
