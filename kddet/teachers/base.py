"""What every teacher is: it cannot change, and sees the student's batch as it was trained to see pictures."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kddet.recording.forward import forward_to
from kddet.recording.recorder import ClassMap, Recorder, Records
from kddet.recording.rois import roi_taps

from .padding import cut, pad_to_multiple
from .pixels import Renormalise, pad_value


class NoDetections(ValueError):
    """A teacher that gives none, and can teach all the same."""


class BaseTeacher(nn.Module):
    """A ``detector`` in ``eval()`` with ``requires_grad=False``, whatever is called on it.

    It is held outside the Distiller's module tree, so it is in no optimizer, no checkpoint, no EMA copy and no DDP
    bucket, and ``init_weights`` cannot touch it. A subclass sets ``detector``, whose ``data_preprocessor`` says which
    pixels it was trained on, and freezes it.

    Args:
        input_scale: feed the detector the batch at this multiple of its size (bilinear).
        class_map: ``[(student's index, teacher's index), ...]`` of the classes that both have.
    """

    detector: Any
    model_config: dict  # what it is built from, for the key of a cache
    trained = False  # it has weights, from a checkpoint or in the file that it is
    coverage: str | None = None  # of its weights by a checkpoint, in words
    checkpoint_hash: str | None = None

    def __init__(self, input_scale: float, class_map: str | Mapping[str, str] | Sequence[Sequence[int]] | None) -> None:
        super().__init__()
        self.class_map = class_pairs(class_map)
        if not input_scale > 0:
            raise ValueError(f"the teacher's input_scale is {input_scale}, it must be greater than 0")
        self.input_scale = float(input_scale)
        self.renormalise: Renormalise | None = None

    def freeze(self) -> None:
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> BaseTeacher:
        """Stays in eval: DropPath and Dropout off too, not only BatchNorm."""
        return super().train(False)

    def __deepcopy__(self, memo: dict) -> BaseTeacher:
        return self

    def match_input(self, student_preprocessor: nn.Module) -> None:
        """Re-normalise the student's batches where the teacher was trained with another mean, std or channel order."""
        self.renormalise = Renormalise.between(student_preprocessor, self.detector.data_preprocessor)

    @torch.no_grad()
    def record(self, inputs: Tensor, samples: list | None, taps: Iterable[str]) -> Records:
        """Run as deep as the taps ask, and no deeper.

        A batch whose sides are no multiples of the teacher's own ``pad_size_divisor`` is padded to it, and the maps
        are cut back.

        Args:
            inputs: ``(N, 3, H, W)``, as the student's data preprocessor gave it.
            samples: data samples of the batch, for the size of each image inside its padding.
            taps: dotted names of submodules of the detector.
        """
        inputs, shown = self.matched(inputs, samples)
        with Recorder(self.detector, taps, 'teacher', arguments=False) as records, self.options(inputs.device.type):
            features = forward_to(self.detector, inputs, records)
            records.features = features if roi_taps(records) else None
        if inputs.shape[2:] != shown:
            records.replace(lambda value: cut(value, inputs.shape, shown))
        records.class_map = self.class_map
        return records

    def replay(self, records: Records, rois: Sequence[Tensor]) -> None:
        """Run the RoI head on the student's RoIs and add what its taps give to ``records``."""
        raise NotImplementedError

    @torch.no_grad()
    def predict(self, inputs: Tensor, samples: list, student: Any) -> list:
        """The samples with the teacher's detections in ``pred_instances``, in pixels of the original images.

        Args:
            inputs: ``(N, 3, H, W)``, as the student's data preprocessor gave it.
            samples: data samples of the batch.
            student: whose head decodes the maps of a teacher that gives no more.

        Raises:
            NoDetections: the teacher gives maps that cannot be decoded.
        """
        seen = [_scaled(sample, self.input_scale) for sample in samples]
        for sample, own in zip(samples, self.detections(inputs, samples, seen, student), strict=True):
            sample.pred_instances = own
        return samples

    def detections(self, inputs: Tensor, samples: list, seen: list, student: Any) -> list:
        """What is found in each image.

        Args:
            seen: samples of the images at the teacher's ``input_scale``.
        """
        raise NotImplementedError

    def check_detections(self, student: Any) -> None:
        """Refuse to :meth:`predict` what cannot be.

        Raises:
            NoDetections: says what the teacher gives.
        """

    def check_taps(self, taps: Iterable[str]) -> None:
        """Refuse taps that the teacher does not pass by.

        Raises:
            ValueError: names them.
        """

    @contextmanager
    def options(self, device: str) -> Iterator[None]:
        """In what precision its forward runs, and the like."""
        yield

    def matched(self, inputs: Tensor, samples: list | None) -> tuple[Tensor, torch.Size]:
        """The student's batch as the teacher is to see it, and its (H, W) before padding."""
        if self.renormalise is not None:
            inputs = self.renormalise(inputs, samples)
        if self.input_scale != 1:
            inputs = F.interpolate(inputs, size=[round(self.input_scale * side) for side in inputs.shape[2:]],
                                   mode='bilinear', align_corners=False)
        shown, preprocessor = inputs.shape[2:], self.detector.data_preprocessor
        return pad_to_multiple(inputs, getattr(preprocessor, 'pad_size_divisor', 1), pad_value(preprocessor)), shown


def class_pairs(class_map: str | Mapping[str, str] | Sequence[Sequence[int]] | None) -> ClassMap | None:
    """Pairs of indices as they are given, checked.

    Raises:
        ValueError: names, which only a config's data set can explain, or no pairs, or one class twice.
    """
    if class_map is None:
        return None
    if isinstance(class_map, (str, Mapping)):
        raise ValueError(f'class_map={class_map!r} goes by the names of classes, which tools/train.py looks up; to a '
                         "FrozenTeacher give pairs of indices, [(student's, teacher's), ...]")
    if not all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in class_map):
        raise ValueError(f"class_map={class_map!r}: give pairs of indices, [(student's, teacher's), ...]")
    pairs = tuple((int(own), int(other)) for own, other in class_map)
    if not pairs or any(len(set(side)) < len(side) for side in zip(*pairs)):
        raise ValueError(f'class_map={list(pairs)}: give one pair or more, and no class twice')
    return pairs


def _scaled(sample: Any, scale: float) -> Any:
    """A data sample without boxes, of the picture at ``scale`` times its size in the batch."""
    meta = dict(sample.metainfo)
    for name in ('img_shape', 'pad_shape'):
        if name in meta:
            meta[name] = tuple(round(scale * side) for side in meta[name][:2])
    if 'scale_factor' in meta:
        meta['scale_factor'] = tuple(scale * factor for factor in meta['scale_factor'])
    return type(sample)(metainfo=meta)
