"""An ONNX file as a module, run by onnxruntime."""
from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from kddet.checkpoint import first_line

FLOATS = {'tensor(float)': np.float32, 'tensor(float16)': np.float16}


class OnnxModel(nn.Module):
    """Images ``(N, 3, H, W)`` -> ``{output name of the file: tensor}``.

    Where onnxruntime has CUDA and torch a GPU, it runs there; images and outputs go through the CPU's memory in any
    case. A file for batches of one size is run as often as it takes.

    Args:
        file: exported with torch.onnx, or by any other tool.

    Raises:
        ImportError: onnxruntime is not installed.
        ValueError: it cannot be read, or takes something else than images.
    """

    def __init__(self, file: str) -> None:
        super().__init__()
        try:
            import onnxruntime
        except ImportError as error:
            raise ImportError(f'a teacher in {file!r} is run by onnxruntime, which is not installed: pip install '
                              'onnxruntime') from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        gpu = torch.cuda.is_available() and 'CUDAExecutionProvider' in onnxruntime.get_available_providers()
        try:
            self._session = onnxruntime.InferenceSession(file, options, providers=[
                *(['CUDAExecutionProvider'] if gpu else []), 'CPUExecutionProvider'])
        except Exception as error:  # of onnxruntime's own kinds, which have no base
            raise ValueError(f'{file!r} is no ONNX model that onnxruntime can run ({first_line(error)}); export it '
                             'again') from error
        taken = self._session.get_inputs()
        if len(taken) != 1 or len(taken[0].shape) != 4 or taken[0].type not in FLOATS:
            listed = ', '.join(f'{own.name} {own.type} {own.shape}' for own in taken)
            raise ValueError(f'{file!r} takes {listed}; a teacher takes one tensor of floats, images (N, 3, H, W) that '
                             'are normalised: export it so')
        self._name, self._type = taken[0].name, FLOATS[taken[0].type]
        self.batch_size, _, *size = [side if isinstance(side, int) else None for side in taken[0].shape]
        self.input_size: tuple[int, int] | None = None if None in size else (size[0], size[1])  # type: ignore[assignment]
        self._outputs = [own.name for own in self._session.get_outputs()]
        self.runs_on, self._said = 'GPU' if gpu else 'CPU', False

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        if images.is_cuda and not self._said:
            self._said = True
            print_log(f'the teacher runs in onnxruntime on the {self.runs_on}; its images and maps go through the '
                      "CPU's memory", 'current')
        array = images.detach().cpu().numpy().astype(self._type, copy=False)
        step = self.batch_size or len(array)
        parts = [self._run(array[start:start + step], step) for start in range(0, len(array), step)]
        return {name: torch.from_numpy(np.concatenate(own) if len(own) > 1 else own[0]).to(images)
                for name, own in zip(self._outputs, zip(*parts))}

    def _run(self, images: Any, count: int) -> list[Any]:
        """Of a part of the batch; the last image again where the file is for more."""
        own = len(images)
        if own < count:
            images = np.concatenate([images, np.repeat(images[-1:], count - own, 0)])
        given = self._session.run(None, {self._name: np.ascontiguousarray(images)})
        return [output[:own] for output in given] if own < count else given
