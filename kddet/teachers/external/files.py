"""Load a model that is to teach: from a file, or as a registered module."""
from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kddet.checkpoint import first_line
from kddet.registry import MODELS
from kddet.student_wrapper import Unregistered

from ..settings import how_to_set
from .onnx_model import OnnxModel

TORCHSCRIPT = '.pt', '.ts', '.torchscript'
SUFFIXES = *TORCHSCRIPT, '.pt2', '.onnx'


def is_model_file(name: object) -> bool:
    """Whether a teacher is given as the file of a model, by its suffix."""
    return isinstance(name, str) and name.lower().endswith(SUFFIXES)


def load_model(model: str | Mapping[str, Any] | nn.Module, trust: bool = False) -> nn.Module:
    """A module that takes images ``(N, 3, H, W)``.

    Args:
        model: a file; config of a registered module; or a module.
        trust: load ``.pt2``, which unpickles.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is not what its suffix says, or refused; or ``model`` is none of these.
        ImportError: an ONNX file, and no onnxruntime.
    """
    if isinstance(model, nn.Module):
        return model
    if isinstance(model, Mapping) and model.get('type'):
        return MODELS.build(dict(model))
    if not is_model_file(model):
        raise ValueError(f'the model of the teacher is {model!r}; it must be a file ({", ".join(SUFFIXES)}) or the '
                         "config of a registered module, dict(type='...', ...)")
    file = os.path.expanduser(str(model))
    if not os.path.isfile(file):
        what = 'is a folder' if os.path.isdir(file) else 'does not exist'
        raise FileNotFoundError(f'the model {file!r} {what} (working directory: {os.getcwd()}); give a file')
    suffix = Path(file).suffix.lower()
    if suffix == '.onnx':
        return OnnxModel(file)
    return FileModel(_exported(file, trust) if suffix == '.pt2' else _torchscript(file))


class FileModel(nn.Module):
    """A model of torch's from a file. Held apart, for those that ``torch.export`` wrote refuse ``eval()``."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self._model = Unregistered(model)

    def forward(self, images: Tensor) -> Any:
        return self._model.module(images)

    def parameters_of_file(self) -> int:
        return sum(parameter.numel() for parameter in self._model.module.parameters())

    def _apply(self, fn, *args, **kwargs):
        self._model.apply(fn)
        return super()._apply(fn, *args, **kwargs)


def _torchscript(file: str) -> Any:
    try:
        return torch.jit.load(file, map_location='cpu').eval()
    except (RuntimeError, ValueError) as error:
        raise ValueError(f'{file!r} is no TorchScript model ({first_line(error)[:120]}); torch.jit.save writes one. A '
                         'checkpoint of a detector of MMDet goes beside its config') from error


def _exported(file: str, trust: bool) -> Any:
    if not trust:
        raise ValueError(f'{file!r} is refused: torch.export.load unpickles it, which can run any code in it; where '
                         f'you know its origin, {how_to_set(trust_checkpoint="True")}; or take TorchScript or ONNX')
    try:
        return torch.export.load(file).module()
    except Exception as error:  # what is no such file fails in any way at all
        raise ValueError(f'{file!r} is no model of torch.export.save that this torch reads ({first_line(error)[:120]}'
                         '); export it again') from error
