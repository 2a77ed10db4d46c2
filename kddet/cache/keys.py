"""Names under which the teacher's outputs are kept: what they depend on, hashed."""
from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from kddet.teachers.base import BaseTeacher

FORMAT = 1
PICTURE = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')


def teacher_key(teacher: BaseTeacher, taps: Iterable[str], **rest: Any) -> str:
    """Of the teacher's weights and config, what is read of it, and whatever else is given."""
    config = {key: value for key, value in teacher.model_config.items() if key not in ('train_cfg', 'test_cfg')}
    return _digest(dict(format=FORMAT, weights=weights_digest(teacher.detector.state_dict()), config=config,
                        input_scale=teacher.input_scale, taps=sorted(taps), **rest))


def weights_digest(weights: Mapping[str, Tensor]) -> str:
    """Of every tensor's name, type, shape and bytes: also where no file was loaded, or not all of it."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(weights.items()):
        digest.update(f'{name} {tensor.dtype} {tuple(tensor.shape)}'.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def picture_key(sample: Any, shape: Sequence[int], flip: str | None, precision: str) -> str:
    """Of one picture, its geometry and that of its batch, and the precision that the teacher runs in.

    Args:
        sample: data sample, with ``img_path`` and the geometry in its meta information.
        shape: (height, width) of the batch, padding included: it reaches into the picture, through the convolutions.
        flip: direction of the flip, None for none.
        precision: of :func:`autocast_precision`.

    Raises:
        ValueError: the sample does not say which picture it is.
    """
    meta = sample.metainfo
    if meta.get('img_path') is None and meta.get('img_id') is None:
        raise ValueError(f'a data sample has neither img_path nor img_id (it has {", ".join(sorted(meta))}), and a '
                         'teacher cache does not know which picture it is; add them to the meta_keys of what packs it')
    return _digest([*(meta.get(key) for key in PICTURE), _stamp(meta.get('img_path')), tuple(shape), flip, precision])


def autocast_precision(device: torch.device) -> str:
    """The type that automatic mixed precision computes in on a device, or ``'full'``."""
    if hasattr(torch, 'get_autocast_dtype'):
        return str(torch.get_autocast_dtype(device.type)) if torch.is_autocast_enabled(device.type) else 'full'
    if device.type == 'cpu':  # torch before 2.4
        return str(torch.get_autocast_cpu_dtype()) if torch.is_autocast_cpu_enabled() else 'full'
    return str(torch.get_autocast_gpu_dtype()) if torch.is_autocast_enabled() else 'full'


def _stamp(path: Any) -> tuple[int, int] | None:
    """Size and time of the file: a data set that is written anew under the same names is another one."""
    try:
        found = os.stat(path)
    except (OSError, TypeError):  # pictures that are no local files
        return None
    return found.st_size, found.st_mtime_ns


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=_plain)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, 'item') else str(value)
