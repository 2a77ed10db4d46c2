"""A detector that cannot change, runs as deep as it is asked to, and gets the input it was trained on."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import revert_sync_batchnorm
from torch import Tensor

from kddet.checkpoint import BELONGS, file_hash, load_checkpoint, load_weights, local_copy, student_weights
from kddet.project.config import ConfigLike, build_detector, load_config, student_config, with_preprocessor
from kddet.recording.recorder import Recorder, Records
from kddet.recording.rois import forward_rois, roi_taps, scale_rois
from kddet.registry import MODELS

from .base import BaseTeacher
from .compiled import CompiledFeatures, check_compiled_taps
from .settings import how_to_set

DTYPES = dict(bfloat16=torch.bfloat16, float16=torch.float16)


@MODELS.register_module()
class FrozenTeacher(BaseTeacher):
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
        super().__init__(input_scale, class_map)
        if dtype not in (None, *DTYPES):
            raise ValueError(f"the teacher's dtype is {dtype!r}, it must be None or one of {', '.join(DTYPES)}")
        self.dtype = DTYPES[dtype] if dtype else None
        self.channels_last = channels_last
        cfg = student_config(load_config(config))
        self.model_config = with_preprocessor(cfg.model, cfg.get('data_preprocessor'))
        self.detector = revert_sync_batchnorm(build_detector(cfg))
        if checkpoint is None:
            print_log('teacher: no checkpoint given, its weights are random', 'current', level=30)
        else:
            file = local_copy(checkpoint)
            weights = student_weights(load_checkpoint(file, trust=trust_checkpoint))
            self.coverage = load_weights(self.detector, weights, name=f'teacher {checkpoint}', strict=strict,
                                         remedy=f'{BELONGS}, or accept it: {how_to_set(strict="False")}')
            self.checkpoint_hash = file_hash(file) if '://' not in file else None
            self.trained = True
            print_log(f'{self.coverage}; sha256 {self.checkpoint_hash}', 'current')
        self.freeze()
        if channels_last:
            self.detector.to(memory_format=torch.channels_last)
        self._compiled = CompiledFeatures(self.detector) if compile else None

    def detections(self, inputs: Tensor, samples: list, seen: list, student: Any) -> list:
        """In float32, and not compiled."""
        inputs, _ = self.matched(inputs, samples)
        for sample in seen:
            sample.set_metainfo(dict(batch_input_shape=tuple(inputs.shape[2:])))
        return [sample.pred_instances for sample in self.detector.predict(inputs, seen)]

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
        with Recorder(self.detector, roi_taps(records), 'teacher', arguments=False) as replayed:
            forward_rois(self.detector, features, rois)
        records.extend(replayed)

    def check_taps(self, taps: Iterable[str]) -> None:
        if self._compiled is not None:
            check_compiled_taps(taps)

    @contextmanager
    def options(self, device: str) -> Iterator[None]:
        precision = nullcontext() if self.dtype is None else torch.autocast(device, self.dtype)
        with precision, nullcontext() if self._compiled is None else self._compiled.running():
            yield

    def matched(self, inputs: Tensor, samples: list | None) -> tuple[Tensor, torch.Size]:
        inputs, shown = super().matched(inputs, samples)
        return inputs.contiguous(memory_format=torch.channels_last) if self.channels_last else inputs, shown


def build_teacher(settings: Mapping[str, Any]) -> BaseTeacher:
    """The teacher of a Distiller, from its settings without the cache: what their ``type`` says."""
    return teacher_class(settings)(**{key: value for key, value in settings.items() if key != 'type'})


def teacher_class(settings: Mapping[str, Any]) -> type[BaseTeacher]:
    """A :class:`FrozenTeacher` where the settings have no ``type``.

    Raises:
        ValueError: the type is that of no teacher.
    """
    wanted = settings.get('type', 'kddet.FrozenTeacher')
    kind = MODELS.get(wanted) if isinstance(wanted, str) else wanted
    if not isinstance(kind, type) or not issubclass(kind, BaseTeacher):
        raise ValueError(f'the type of the teacher is {wanted!r}, it must be kddet.FrozenTeacher, for a detector of '
                         'MMDet, or kddet.ExternalTeacher')
    return kind


def without_cache(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Of a Distiller's ``teacher`` what is the teacher's own: arguments of :class:`FrozenTeacher`."""
    return {key: value for key, value in settings.items() if key != 'cache'}
