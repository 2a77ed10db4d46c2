"""A teacher from outside MMDet: TorchScript, ONNX, or a module of your own."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmengine.logging import print_log
from torch import Tensor, nn

from kddet.checkpoint import file_hash, load_checkpoint, load_weights, local_copy, state_dict_of
from kddet.recording.recorder import Records
from kddet.recording.taps import INPUT, parse_tap
from kddet.registry import MODELS

from ..base import BaseTeacher, NoDetections
from ..pixels import pixel_statistics
from ..settings import how_to_set
from .decoding import TAP, Decoder
from .detector import ExternalDetector
from .files import load_model


@MODELS.register_module()
class ExternalTeacher(BaseTeacher):
    """A model that takes images ``(N, 3, H, W)`` and gives maps by name, frozen as :class:`FrozenTeacher` is.

    It gives a mapping of names to pyramids, levels finest first, each ``(N, C, H, W)``; or tensors, or pyramids, to
    which ``outputs`` gives names. A name is a tap: ``neck`` and ``backbone`` for features, ``cls`` and ``reg`` for the
    maps of a dense head (``rpn.cls``, ``rpn.reg`` of an RPN), or a word of your own for ``teacher_tap``. Methods of
    features read levels of any stride that the student has, too. Methods of scores and boxes read maps that are laid
    out as those of the student's own head: as many levels, the same anchors or points, scores as logits, boxes as the
    head gives them in ``eval()``. There is no RoI head to run.
    Such scores and boxes are measured, and shown, as the student's head decodes them.

    A TorchScript file is a program, whose operators read and write files too, and runs when it is loaded: take it from
    where you would take a program. An ONNX file is a graph of operators. It runs whole at every iteration, in its own
    precision, and is never differentiated.

    Args:
        model: a file of TorchScript (``.pt``, ``.ts``, ``.torchscript``), ONNX (``.onnx``, with onnxruntime) or
            ``torch.export`` (``.pt2``, for batches of the size that it was exported for); the config of a registered
            module; or a module.
        checkpoint: path or URL of the weights of a module, which must cover it.
        outputs: names of what the model gives, in its order, a level of a pyramid by the name of the pyramid:
            ``['neck', 'neck', 'cls', 'cls']``. None goes by its own names, ``neck.0`` being a level of ``neck``; what
            has none is taken for the levels of the neck.
        mean, std: of the pixels (0 to 255) it was trained on, a channel each in its own order. None takes the
            student's normalisation.
        bgr_to_rgb: it was trained on RGB (True) or BGR; None takes the student's order.
        pad_size_divisor: the batch is padded to multiples of it, and maps are cut back.
        input_scale: feed it the batch at this multiple of its size (bilinear).
        input_size: (height, width) of a model that takes one size alone: the batch is resized to it, and the maps back
            to those of the batch (bilinear). Boxes are not read then.
        classes: names of its classes, for ``class_map='auto'``.
        class_map: as that of :class:`FrozenTeacher`.
        trust_checkpoint: load what unpickles arbitrary objects, which runs code from the file: ``.pt2``, checkpoints.

    Raises:
        ValueError: the model cannot be loaded or run, or gives what has no name.
        FileNotFoundError: the file does not exist.
        ImportError: an ONNX file, and no onnxruntime.
    """

    def __init__(self, model: str | Mapping[str, Any] | nn.Module, *, checkpoint: str | None = None,
                 outputs: Sequence[str] | None = None, mean: Sequence[float] | None = None,
                 std: Sequence[float] | None = None, bgr_to_rgb: bool | None = None, pad_size_divisor: int = 1,
                 input_scale: float = 1.0, input_size: Sequence[int] | None = None,
                 classes: Sequence[str] | None = None,
                 class_map: str | Mapping[str, str] | Sequence[Sequence[int]] | None = None,
                 trust_checkpoint: bool = False) -> None:
        super().__init__(input_scale, class_map)
        _check(mean, std, input_scale, input_size, pad_size_divisor)
        self.mean, self.std, self.bgr_to_rgb, self.pad_size_divisor = mean, std, bgr_to_rgb, pad_size_divisor
        self.classes, self.resizes = classes, input_size is not None
        loaded, file = load_model(model, trust_checkpoint), model if isinstance(model, str) else None
        name = Path(file).name if file else type(loaded).__name__
        if checkpoint is not None:
            file = self._load(loaded, checkpoint, file, trust_checkpoint)
        self.trained = file is not None
        self.checkpoint_hash = file_hash(local_copy(file)) if file and '://' not in file else None
        size = None if input_size is None else (input_size[0], input_size[1])
        self.detector = ExternalDetector(loaded, name, outputs, size)
        settings = dict(outputs=outputs, mean=mean, std=std, bgr_to_rgb=bgr_to_rgb, pad_size_divisor=pad_size_divisor,
                        input_size=size)
        self.model_config = dict(settings, file=self.checkpoint_hash, model=None if isinstance(model, str) else
                                 dict(model) if isinstance(model, Mapping) else name)
        self._decoder: Decoder | None = None
        self.freeze()
        print_log(f'teacher {name}: {self.detector.tapped()}; sha256 {self.checkpoint_hash}', 'current')

    @property
    def normalised(self) -> bool:
        """Whether it was said how its pixels are normalised."""
        return self.mean is not None

    def match_input(self, student_preprocessor: nn.Module) -> None:
        mean, std, rgb = pixel_statistics(student_preprocessor)
        own = rgb if self.bgr_to_rgb is None else self.bgr_to_rgb
        if own != rgb:
            mean, std = mean.flip(0), std.flip(0)
        self.detector.data_preprocessor = DetDataPreprocessor(
            mean=self.mean or mean.flatten().tolist(), std=self.std or std.flatten().tolist(), bgr_to_rgb=own,
            pad_size_divisor=self.pad_size_divisor)
        super().match_input(student_preprocessor)

    def check_taps(self, taps: Iterable[str]) -> None:
        """Refuse taps that are none of the model's outputs.

        Raises:
            ValueError: names what can be read.
        """
        given = {*self.detector.given, *self.detector.heads}
        for tap in taps:
            found = parse_tap(tap)
            word = tap if found.item is not None else found.module
            if word not in given or tap.endswith(INPUT):
                raise ValueError(f'{tap!r} cannot be read of the teacher {self.detector.name}, which gives '
                                 f'{self.detector.tapped()}; give its outputs such names, '
                                 f'{how_to_set(outputs="[...]")}; or read what it has: tap, teacher_tap')

    def record(self, inputs: Tensor, samples: list | None, taps: Iterable[str]) -> Records:
        """As :meth:`FrozenTeacher.record`, but for the depth: an exported model runs whole.

        Raises:
            ValueError: the batch is of another size than the model takes.
        """
        fixed = None if self.resizes else self.detector.fixed_size
        if fixed and (size := tuple(self.matched(inputs, None)[0].shape[2:])) != fixed:
            raise ValueError(f'the teacher {self.detector.name} takes images of {fixed[0]} x {fixed[1]} alone, and a '
                             f'batch of {size[0]} x {size[1]} (height x width) came: '
                             f'{how_to_set(input_size=str(fixed))} resizes it; or give the student that size, or '
                             'export the model for any')
        return super().record(inputs, samples, taps)

    def replay(self, records: Records, rois: Sequence[Tensor]) -> None:
        raise ValueError(f'the teacher {self.detector.name} has no RoI head that could run on the RoIs of the student; '
                         "choose heads=['rpn'], or features of the neck")

    def detections(self, inputs: Tensor, samples: list, seen: list, student: Any) -> list:
        return self._decoder_of(student)(self.record(inputs, samples, [TAP])[TAP][0].output, seen)

    def check_detections(self, student: Any) -> None:
        self._decoder_of(student)

    def _decoder_of(self, student: Any) -> Decoder:
        if self._decoder is None or self._decoder.student is not student:
            try:
                self._decoder = Decoder(student, self.detector)
            except ValueError as error:
                raise NoDetections(str(error)) from error
        return self._decoder

    @contextmanager
    def options(self, device: str) -> Iterator[None]:
        with torch.autocast(device, enabled=False):
            yield

    def _load(self, loaded: nn.Module, checkpoint: str, file: str | None, trust: bool) -> str:
        """The weights of a module; returns their file."""
        if file:
            raise ValueError(f'{file!r} has its weights in it, and takes no checkpoint ({checkpoint!r}); leave it out')
        weights = state_dict_of(load_checkpoint(checkpoint, trust=trust))
        self.coverage = load_weights(loaded, weights, name=f'teacher {checkpoint}')
        return checkpoint


def _check(mean: Any, std: Any, input_scale: float, input_size: Any, pad_size_divisor: int) -> None:
    if (mean is None) != (std is None):
        raise ValueError(f'mean of the teacher is {mean} and std {std}; give both, or none for those of the student')
    if mean is not None and (len(mean) not in (1, 3) or len(mean) != len(std) or not all(side > 0 for side in std)):
        raise ValueError(f'mean of the teacher is {mean} and std {std}; each has a number a channel, 3 or 1, and std '
                         'is more than 0')
    if input_size is not None and (len(input_size) != 2 or not all(isinstance(side, int) and side > 0
                                                                   for side in input_size)):
        raise ValueError(f'input_size of the teacher is {input_size}, it must be (height, width) in pixels')
    if input_size is not None and input_scale != 1:
        raise ValueError(f'the teacher has input_size {tuple(input_size)} and input_scale {input_scale}; give one of '
                         'them')
    if pad_size_divisor < 1:
        raise ValueError(f'pad_size_divisor of the teacher is {pad_size_divisor}, it must be 1 or more')
