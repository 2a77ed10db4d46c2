"""A detector that cannot change, runs as deep as it is asked to, and gets the input it was trained on."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import revert_sync_batchnorm
from torch import Tensor, nn
from torch.nn import functional as F

from kddet.checkpoint import file_hash, load_checkpoint, load_weights, local_copy, student_weights
from kddet.compiled import CompiledFeatures, check_compiled_taps
from kddet.config import ConfigLike, build_detector, load_config, student_config, with_preprocessor
from kddet.padding import cut, pad_to_multiple
from kddet.recorder import ClassMap, Pyramid, Recorder, Records
from kddet.rois import ROI_HEAD, forward_rois, roi_taps, scale_rois
from kddet.taps import module_of

DENSE_HEADS = ('rpn_head', 'bbox_head')
DTYPES = dict(bfloat16=torch.bfloat16, float16=torch.float16)


class FrozenTeacher(nn.Module):
    """A trained detector in ``eval()`` with ``requires_grad=False``, whatever is called on it.

    It is held outside the Distiller's module tree, so it is in no optimizer, no checkpoint, no EMA copy and no DDP
    bucket, and ``init_weights`` cannot touch it. Gradients may pass *through* it (no ``inference_mode``).

    Args:
        config: path, ``package::path``, dict or Config of the teacher's detector; a distillation config stands for
            its student, so that yesterday's student can teach today.
        checkpoint: path or URL of its weights. None leaves it untrained, with a warning: for tests.
        strict: anything but full coverage of the weights is an error that lists the keys.
        trust_checkpoint: let the checkpoint unpickle arbitrary objects, which runs code from the file.
        input_scale: feed the teacher the batch at this multiple of its size (bilinear), as in the low-resolution
            students of Chen et al. (NIPS 2017, Sec. 4.3). RoIs are scaled along. Maps that are compared pair by
            size, so at 2.0 the student's P3 meets the teacher's P4, which covers the same part of the picture.
        class_map: for a teacher of other classes: ``[(student's index, teacher's index), ...]`` of those that both
            have. Methods that compare scores compare these and leave the others out. ``tools/train.py`` also takes
            ``'auto'``, which goes by name, and ``{student's name: teacher's name}``.
        dtype: ``'bfloat16'`` or ``'float16'`` runs backbone, neck and dense heads under torch's autocast; RoI heads
            stay in float32. None is exact, or the student's mixed precision.
        channels_last: keep weights and maps in torch's channels-last order.
        compile: compile backbone and neck with ``torch.compile``, which takes a while in the first step of each size
            of input; taps inside them are refused.

    Raises:
        ValueError: the checkpoint does not cover the detector, or is refused; an option is none of those above.
        FileNotFoundError: config or checkpoint does not exist.
    """

    def __init__(self, config: ConfigLike, checkpoint: str | None, *, strict: bool = True,
                 trust_checkpoint: bool = False, input_scale: float = 1.0,
                 class_map: str | Mapping[str, str] | Sequence[Sequence[int]] | None = None,
                 dtype: str | None = None, channels_last: bool = False, compile: bool = False) -> None:
        super().__init__()
        self.class_map = class_pairs(class_map)
        if dtype not in (None, *DTYPES):
            raise ValueError(f"the teacher's dtype is {dtype!r}, it must be None or one of {', '.join(DTYPES)}")
        self.dtype = DTYPES[dtype] if dtype else None
        self.channels_last = channels_last
        if not input_scale > 0:
            raise ValueError(f"the teacher's input_scale is {input_scale}, it must be greater than 0")
        self.input_scale = float(input_scale)
        cfg = student_config(load_config(config))
        self.model_config = with_preprocessor(cfg.model, cfg.get('data_preprocessor'))
        self.detector = revert_sync_batchnorm(build_detector(cfg))
        self.checkpoint_hash: str | None = None
        self.coverage: str | None = None  # of its weights by the checkpoint, in words
        if checkpoint is None:
            print_log('teacher: no checkpoint given, its weights are random', 'current', level=30)
        else:
            file = local_copy(checkpoint)
            weights = student_weights(load_checkpoint(file, trust=trust_checkpoint))
            self.coverage = load_weights(self.detector, weights, name=f'teacher {checkpoint}', strict=strict)
            self.checkpoint_hash = file_hash(file) if '://' not in file else None
            print_log(f'{self.coverage}; sha256 {self.checkpoint_hash}', 'current')
        self.requires_grad_(False)
        if channels_last:
            self.detector.to(memory_format=torch.channels_last)
        self._compiled = CompiledFeatures(self.detector) if compile else None
        self.renormalise: _Renormalise | None = None
        self.train(False)

    def train(self, mode: bool = True) -> FrozenTeacher:
        """Stays in eval: DropPath and Dropout off too, not only BatchNorm."""
        return super().train(False)

    def __deepcopy__(self, memo: dict) -> FrozenTeacher:
        return self

    def match_input(self, student_preprocessor: nn.Module) -> None:
        """Re-normalise the student's batches where the teacher was trained with another mean, std or channel order."""
        self.renormalise = _Renormalise.between(student_preprocessor, self.detector.data_preprocessor)

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
        inputs, shown = self._matched(inputs, samples)
        with Recorder(self.detector, taps, 'teacher') as records, self._options(inputs.device.type):
            records.features = forward_to(self.detector, inputs, records)
        if inputs.shape[2:] != shown:
            records.replace(lambda value: cut(value, inputs.shape, shown))
        records.class_map = self.class_map
        return records

    @torch.no_grad()
    def predict(self, inputs: Tensor, samples: list) -> list:
        """The samples with the teacher's detections in ``pred_instances``, in pixels of the original images.

        In float32, and not compiled.

        Args:
            inputs: ``(N, 3, H, W)``, as the student's data preprocessor gave it.
            samples: data samples of the batch.
        """
        seen = [_scaled(sample, self.input_scale) for sample in samples]
        inputs, _ = self._matched(inputs, samples)
        for sample in seen:
            sample.set_metainfo(dict(batch_input_shape=tuple(inputs.shape[2:])))
        found = self.detector.predict(inputs, seen)
        for sample, own in zip(samples, found):
            sample.pred_instances = own.pred_instances
        return samples

    @torch.no_grad()
    def replay(self, records: Records, rois: Sequence[Tensor]) -> None:
        """Run the RoI head on the student's RoIs and add what its taps give to ``records``.

        Args:
            records: of :meth:`record` on the same batch.
            rois: the student's, one ``(R, 5)`` a stage, in the student's input pixels.
        """
        if records.features is None:
            raise RuntimeError('the teacher has no features on record; record() comes before replay(), with its taps')
        rois = [scale_rois(own, self.input_scale) for own in rois]
        features = records.features
        if self.dtype is not None:  # no RoIAlign has bfloat16
            features = tuple(level.float() for level in features)
        with Recorder(self.detector, roi_taps(records), 'teacher') as replayed:
            forward_rois(self.detector, features, rois)
        records.extend(replayed)

    def check_taps(self, taps: Iterable[str]) -> None:
        """Refuse taps that a compiled teacher does not pass by.

        Raises:
            ValueError: names them.
        """
        if self._compiled is not None:
            check_compiled_taps(taps)

    @contextmanager
    def _options(self, device: str) -> Iterator[None]:
        precision = nullcontext() if self.dtype is None else torch.autocast(device, self.dtype)
        with precision, nullcontext() if self._compiled is None else self._compiled.running():
            yield

    def _matched(self, inputs: Tensor, samples: list | None) -> tuple[Tensor, torch.Size]:
        """The student's batch as the teacher is to see it, and its (H, W) before padding."""
        if self.renormalise is not None:
            inputs = self.renormalise(inputs, samples)
        if self.input_scale != 1:
            inputs = F.interpolate(inputs, size=[round(self.input_scale * side) for side in inputs.shape[2:]],
                                   mode='bilinear', align_corners=False)
        shown, preprocessor = inputs.shape[2:], self.detector.data_preprocessor
        inputs = pad_to_multiple(inputs, getattr(preprocessor, 'pad_size_divisor', 1), _pad_value(preprocessor))
        return inputs.contiguous(memory_format=torch.channels_last) if self.channels_last else inputs, shown


def build_teacher(settings: Mapping[str, Any]) -> FrozenTeacher:
    """The teacher of a Distiller, from its settings without the cache."""
    return FrozenTeacher(**settings)


def without_cache(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Of a Distiller's ``teacher`` what is the teacher's own: arguments of :class:`FrozenTeacher`."""
    return {key: value for key, value in settings.items() if key != 'cache'}


def forward_to(detector: Any, inputs: Tensor, taps: Iterable[str]) -> Pyramid | None:
    """Forward ``(N, 3, H, W)`` through backbone, neck and dense heads, no further than some tap lies.

    Returns:
        The features that the heads read, where it came that far; a RoI head runs on them with :func:`forward_rois`.
    """
    roots = {module_of(tap).partition('.')[0] for tap in taps}
    if not roots:
        return None
    if roots == {'backbone'}:
        detector.backbone(inputs)
        return None
    features = detector.extract_feat(inputs)
    for head in roots.intersection(DENSE_HEADS):
        getattr(detector, head)(features)
    beyond = roots.difference(DENSE_HEADS, ('backbone', 'neck', ROI_HEAD))
    if beyond:
        raise ValueError(f'taps below {sorted(beyond)} are not reached by a forward of {type(detector).__name__} '
                         f'without boxes; it can be tapped in backbone, neck, {", ".join(DENSE_HEADS)} and {ROI_HEAD}')
    return features


def _scaled(sample: Any, scale: float) -> Any:
    """A data sample without boxes, of the picture at ``scale`` times its size in the batch."""
    meta = dict(sample.metainfo)
    for name in ('img_shape', 'pad_shape'):
        if name in meta:
            meta[name] = tuple(round(scale * side) for side in meta[name][:2])
    if 'scale_factor' in meta:
        meta['scale_factor'] = tuple(scale * factor for factor in meta['scale_factor'])
    return type(sample)(metainfo=meta)


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


class _Renormalise(nn.Module):
    """``(N, 3, H, W)`` normalised for the student -> the same pixels normalised for the teacher."""

    def __init__(self, scale: Tensor, shift: Tensor, flip_channels: bool, pad_value: float) -> None:
        super().__init__()
        self.scale: Tensor
        self.shift: Tensor
        self.register_buffer('scale', scale, persistent=False)
        self.register_buffer('shift', shift, persistent=False)
        self.flip_channels, self.pad_value = flip_channels, pad_value

    @classmethod
    def between(cls, student: nn.Module, teacher: nn.Module) -> _Renormalise | None:
        """None where both see the same input, so that the teacher gets the very same tensor."""
        student_mean, student_std, student_order = pixel_statistics(student)
        teacher_mean, teacher_std, teacher_order = pixel_statistics(teacher)
        flip = student_order != teacher_order
        if flip:  # to the teacher's order of channels, which comes first
            student_mean, student_std = student_mean.flip(0), student_std.flip(0)
        scale, shift = student_std / teacher_std, (student_mean - teacher_mean) / teacher_std
        if not flip and torch.equal(student_mean, teacher_mean) and torch.equal(student_std, teacher_std):
            return None
        return cls(scale, shift, flip, _pad_value(teacher))

    def forward(self, inputs: Tensor, samples: list | None) -> Tensor:
        if self.flip_channels:
            inputs = inputs.flip(1)
        inputs = (inputs * self.scale + self.shift).to(inputs.dtype)
        for image, sample in zip(inputs, samples or ()):
            height, width = sample.img_shape[:2]
            image[:, height:] = self.pad_value
            image[:, :, width:] = self.pad_value
        return inputs


def _pad_value(preprocessor: nn.Module) -> float:
    return float(getattr(preprocessor, 'pad_value', 0))


def pixel_statistics(preprocessor: nn.Module) -> tuple[Tensor, Tensor, bool]:
    """Mean and std of pixels as ``(3, 1, 1)``, and whether the loader's order of channels is reversed."""
    mean = getattr(preprocessor, 'mean', torch.zeros(1, 1, 1)).float().expand(3, 1, 1)
    std = getattr(preprocessor, 'std', torch.ones(1, 1, 1)).float().expand(3, 1, 1)
    return mean.cpu(), std.cpu(), bool(getattr(preprocessor, '_channel_conversion', False))
