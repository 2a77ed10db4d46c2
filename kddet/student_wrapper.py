"""A detector with things around it for training, that is itself everywhere else: validation, test, checkpoints."""
from __future__ import annotations

import random
from collections import OrderedDict
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mmdet.models.detectors import BaseDetector
from mmengine.registry import MODELS
from torch import Tensor, nn

from kddet.checkpoint import DISTILLER_PREFIX
from kddet.project.config import with_preprocessor


class StudentWrapper(BaseDetector):
    """Holds a plain detector as ``student`` and predicts, exports and saves as it does.

    Checkpoints hold the student's weights under the student's own names and everything else under ``distiller.``, so
    that stock MMDet loads them. A subclass builds its parts inside :func:`random_state_kept`, and says what a
    training step is (``loss``).

    Args:
        student: config of any MMDet detector.
        data_preprocessor: of the student, where its config has none: MMEngine's Runner gives what stands beside the
            model.
    """

    def __init__(self, student: dict, data_preprocessor: dict | None = None) -> None:
        super().__init__()
        self.student = MODELS.build(with_preprocessor(student, data_preprocessor))
        self.data_preprocessor = self.student.data_preprocessor
        self._register_state_dict_hook(_write_student_keys)
        self._register_load_state_dict_pre_hook(_read_student_keys, with_module=True)

    def check_names(self) -> None:
        """Refuse a student with a submodule of a name that the wrapper has; a subclass calls it when it is built."""
        own = {name for name, _ in self.named_children()} - {'data_preprocessor'}
        if taken := own.intersection(dict(self.student.named_children())):
            raise ValueError(f'the student, a {type(self.student).__name__}, has a submodule called {taken.pop()!r}, '
                             f'which the {type(self).__name__} needs for itself; rename it in the detector')
        self._complete = True

    def predict(self, batch_inputs: Tensor, batch_data_samples: list, **kwargs) -> list:
        """The student's own predictions."""
        return self.student.predict(batch_inputs, batch_data_samples, **kwargs)

    def _forward(self, batch_inputs: Tensor, batch_data_samples: list | None = None):
        return self.student._forward(batch_inputs, batch_data_samples)

    def extract_feat(self, batch_inputs: Tensor):
        """The student's features."""
        return self.student.extract_feat(batch_inputs)

    def init_weights(self) -> None:
        """Initialise the student exactly as if it stood alone, then the rest."""
        self.student.init_weights()
        with random_state_kept():
            for name, module in self.named_children():
                if name not in ('student', 'data_preprocessor'):
                    module.init_weights()
        self._is_init = True

    def parse_losses(self, losses: dict) -> tuple[Tensor, dict]:
        """As the student adds up its losses."""
        return self.student.parse_losses(losses)

    def __setattr__(self, name: str, value: Any) -> None:
        """What a hook sets on the model it sets on the student, whose code reads it."""
        own = {**self.__dict__, **self.__dict__.get('_modules', {})}
        if (not own.get('_complete') or name in own or name.startswith('_') or hasattr(type(self), name)
                or isinstance(value, (nn.Module, nn.Parameter))):
            super().__setattr__(name, value)
        else:
            setattr(self.student, name, value)

    def __getattr__(self, name: str):
        """What the wrapper does not have is the student's, so that hooks find ``model.bbox_head``."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name in ('student', '_modules'):
                raise
            return getattr(self.student, name)


class Unregistered:
    """Holds a module out of ``nn.Module``'s sight. A deep copy (EMA) shares it, and does not move it."""

    def __init__(self, module: Any, owned: bool = True) -> None:
        self.module, self.owned = module, owned

    def __deepcopy__(self, memo: dict) -> Unregistered:
        return Unregistered(self.module, owned=False)

    def apply(self, fn) -> None:
        """Move or convert the module, where it is its owner's: for ``nn.Module._apply`` of what holds it."""
        if self.owned and self.module is not None:
            self.module._apply(fn)


@contextmanager
def random_state_kept():
    """Leave the random numbers that come after as they would be without what is built or run inside."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    states = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


def _write_student_keys(module: nn.Module, state_dict: OrderedDict, prefix: str, local_metadata: dict) -> None:
    _rename(state_dict, prefix, _written)
    metadata = getattr(state_dict, '_metadata', None)
    if metadata is not None:
        _rename(metadata, prefix, _written)


def _written(key: str) -> str | None:
    """A key of the module tree -> the key in the file; None for what is there twice."""
    if key == 'student' or key.startswith('data_preprocessor.'):  # the student's own preprocessor, seen again
        return None
    return key.removeprefix('student.') if key.startswith('student.') else DISTILLER_PREFIX + key if key else key


def _read_student_keys(module: nn.Module, state_dict: dict, prefix: str, *args) -> None:
    own = tuple(f'{name}.' for name, _ in module.named_children() if name != 'data_preprocessor')
    for key in [key for key in state_dict if key.startswith(prefix)]:
        name = key[len(prefix):]
        if name.startswith(DISTILLER_PREFIX):
            state_dict[prefix + name.removeprefix(DISTILLER_PREFIX)] = state_dict.pop(key)
        elif not name.startswith(own):  # SyncNormHook writes keys of the module tree
            value = state_dict[key] if name.startswith('data_preprocessor.') else state_dict.pop(key)
            state_dict[f'{prefix}student.{name}'] = value


def _rename(entries: dict, prefix: str, rename) -> None:
    for key in [key for key in entries if key.startswith(prefix)]:
        value, name = entries.pop(key), rename(key[len(prefix):])
        if name is not None:
            entries[prefix + name] = value
