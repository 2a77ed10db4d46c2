"""Checkpoints that are loaded without kddet: tensors and plain Python values, no object of the logging."""
from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer

from kddet.registry import HOOKS

KIND = 'history'  # key of a history buffer that was taken apart


@HOOKS.register_module()
class PlainCheckpointHook(Hook):
    """Takes what MMEngine's log leaves in a checkpoint apart, and puts it together when a run is resumed.

    The Runner saves the history of every logged value as objects of its own, which ``torch.load`` refuses since
    version 2.6: neither MMDet's tools nor an exporter load such a file. Without them it holds nothing that they refuse,
    and the resumed run has the same history. ``tools/train.py`` adds the hook to every distillation config.
    """

    priority = 'VERY_LOW'  # after hooks that add to the checkpoint

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        for key in ('message_hub', 'meta'):
            if key in checkpoint:
                checkpoint[key] = _plain(checkpoint[key])

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        if scalars := (checkpoint.get('message_hub') or {}).get('log_scalars'):
            checkpoint['message_hub']['log_scalars'] = {name: _buffer(value) for name, value in scalars.items()}


def _plain(value: Any) -> Any:
    """Without history buffers, numpy arrays and numpy scalars."""
    if isinstance(value, HistoryBuffer):
        values, counts = value.data
        return {KIND: torch.from_numpy(values), 'counts': torch.from_numpy(counts), 'max_length': value.max_length}
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_plain(item) for item in value)
    return value


def _buffer(value: Any) -> Any:
    if not isinstance(value, dict) or KIND not in value:
        return value
    return HistoryBuffer(value[KIND].cpu().numpy(), value['counts'].cpu().numpy(), value['max_length'])
