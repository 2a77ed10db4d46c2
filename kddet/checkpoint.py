"""Load MMEngine checkpoints without unpickling arbitrary objects, and export plain student weights."""
from __future__ import annotations

import hashlib
import os
import pickle
import tempfile
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from mmengine.dist import barrier, get_rank, master_only
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn

from kddet.options import some
from kddet.safe_pickle import TORCH_HAS_ALLOW_LIST, allow_mmengine_objects, restricted_pickle

DISTILLER_PREFIX = 'distiller.'
BELONGS = 'Give the checkpoint that belongs to this config'


def load_checkpoint(path: str | Path, *, trust: bool = False, mmap: bool = False) -> dict:
    """Load a checkpoint to CPU without running code from it.

    Args:
        path: a file, an ``http(s)://`` URL, or any other that MMEngine's loaders know (``s3://``, ``torchvision://``
            ...); the latter are loaded by MMEngine, whose safety they have.
        mmap: leave the tensors on disk until they are read, for a look at the file; files of torch before 1.6 are read.
        trust: unpickle arbitrary objects, which runs code from the file; only for files whose origin is known.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no checkpoint, is cut short, or carries objects that are neither tensors nor what
            MMEngine stores (the message names the first).
    """
    path = local_copy(path)
    local = '://' not in path
    if local and not os.path.isfile(path):
        if os.path.isdir(path):
            raise FileNotFoundError(f'checkpoint {path!r} is a folder; give a file, {_pth_files(path)}')
        raise FileNotFoundError(f'checkpoint {path!r} does not exist (working directory: {os.getcwd()})')
    allow_mmengine_objects()
    try:
        if local:
            checkpoint = _load_local(path, trust, mmap)
        else:
            checkpoint = CheckpointLoader.load_checkpoint(path, map_location='cpu', logger='silent')
    except Exception as error:  # what is no checkpoint fails in any way at all inside the unpickler
        if isinstance(error, pickle.UnpicklingError) and 'global' in str(error).lower():
            raise ValueError(f'checkpoint {path!r} is refused: {refusal_reason(error)}') from error
        raise ValueError(f'{path!r} is not a readable checkpoint: '
                         f'{_what_it_is(path) if local else first_line(error)}') from error
    if not isinstance(checkpoint, dict):
        raise ValueError(f'{path!r} holds a {type(checkpoint).__name__}, a checkpoint is a dict with a state_dict')
    return checkpoint


def local_copy(path: str | Path) -> str:
    """A local path as it is, ``~`` expanded; ``http(s)://`` downloaded once to torch's cache of checkpoints.

    Other schemes (``torchvision://``, ``s3://`` ...) stay what they are: MMEngine's loaders know them.
    """
    path = os.path.expanduser(path)
    if not path.startswith(('http://', 'https://')):
        return path
    file = Path(torch.hub.get_dir()) / 'checkpoints' / Path(urlparse(path).path).name
    if get_rank() == 0 and not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(path, str(file))  # to a temporary name, then renamed
        except OSError as error:
            raise ValueError(f'checkpoint {path!r} cannot be downloaded ({first_line(error)}); download it by other '
                             'means and give the path') from error
    barrier()
    return str(file)


def _load_local(path: str, trust: bool, mmap: bool) -> Any:
    if trust or TORCH_HAS_ALLOW_LIST:
        return torch.load(path, map_location='cpu', weights_only=not trust, mmap=mmap and zipfile.is_zipfile(path))
    return torch.load(path, map_location='cpu', weights_only=False, pickle_module=restricted_pickle)


def check_checkpoint(path: str) -> str:
    """Refuse a checkpoint before the Runner loads it: MMEngine unpickles what it downloads, and onedl-mmengine what it
    cannot load safely.

    Returns:
        What to give to the Runner: the local copy. Schemes of MMEngine's own (``s3://`` ...) stay as they are.

    Raises:
        FileNotFoundError, ValueError: as :func:`load_checkpoint`.
    """
    path = local_copy(path)
    if '://' in path:
        return path
    checkpoint = load_checkpoint(path, mmap=True)
    if 'config' in (checkpoint.get('meta') or {}):
        raise ValueError(f"checkpoint {path!r} is refused: its meta holds a 'config', which MMEngine would execute; "
                         'MMEngine itself writes none')
    return path


def check_resumable(model: nn.Module, path: str) -> None:
    """Refuse to resume from what is not a checkpoint of this very model with the state of its training.

    Raises:
        ValueError: says what it lacks.
    """
    checkpoint = load_checkpoint(path, mmap=zipfile.is_zipfile(path))
    remedy = f'to start anew from its weights: --cfg-options load_from={path}'
    if absent := [key for key in ('optimizer', 'message_hub') if key not in checkpoint] + \
            [key for key in ('epoch', 'iter') if key not in checkpoint.get('meta', {})]:
        raise ValueError(f'cannot resume from {path!r}: it has no {", ".join(absent)}, weights alone perhaps; {remedy}')
    weights, wanted = state_dict_of(checkpoint), model.state_dict()
    if other := [key for key, value in wanted.items() if key not in weights or weights[key].shape != value.shape]:
        raise ValueError(f'cannot resume from {path!r}: {len(other)} of {len(wanted)} tensors of this model are not in '
                         f'it in the same shape ({some(other, 2)}), so it is of another run, a plain one perhaps; '
                         f'{remedy}')


def refusal_reason(error: pickle.UnpicklingError) -> str:
    """The object that torch's safe unpickler would not build, in one sentence."""
    text = str(error)
    for line in text.replace('. Please', '\n').splitlines():
        if 'GLOBAL' in line or 'global' in line and 'Unsupported' in line:
            return (f'it carries an object that is not a tensor ({line.strip().lstrip("(1) ")}). Nothing of it was '
                    'run. Save the weights alone on the machine where the file was written')
    return first_line(error)


def first_line(error: BaseException) -> str:
    """Of its message, or its type where it has none."""
    return str(error).strip().partition('\n')[0] or type(error).__name__


def _pth_files(folder: str) -> str:
    found = sorted(path.name for path in Path(folder).glob('*.pth'))
    return f'{found[-1]} of it for example' if found else 'there is no .pth file in it'


def _what_it_is(path: str) -> str:
    with Path(path).open('rb') as file:
        start = file.read(12)
    if not start:
        return 'it is empty; take the original'
    if start.startswith(b'PK') and not zipfile.is_zipfile(path):
        return (f'it was cut short, at {os.path.getsize(path):,} bytes; compare with the original, and copy or train '
                'it again')
    return f'it begins with {start!r}, as no file of torch.save does, or was damaged; give a .pth file'


def state_dict_of(checkpoint: dict) -> OrderedDict:
    """The weights of a checkpoint, with the prefix that parallel wrappers leave (``module.``) taken off."""
    weights = checkpoint.get('state_dict', checkpoint)
    if not isinstance(weights, dict) or not any(isinstance(value, torch.Tensor) for value in weights.values()):
        raise ValueError(f'no weights in this checkpoint, its keys are {list(checkpoint)[:8]}; one that can be used '
                         'has tensors in its state_dict')
    plain = OrderedDict((key.removeprefix('module.'), value) for key, value in weights.items())
    if hasattr(weights, '_metadata'):
        plain._metadata = weights._metadata  # type: ignore[attr-defined]
    return plain


def student_weights(checkpoint: dict) -> OrderedDict:
    """The student's weights alone: adapters and whatever else the Distiller trained are dropped."""
    weights = state_dict_of(checkpoint)
    student = OrderedDict((key, value) for key, value in weights.items() if not key.startswith(DISTILLER_PREFIX))
    if hasattr(weights, '_metadata'):
        student._metadata = OrderedDict(  # type: ignore[attr-defined]
            (key, value) for key, value in weights._metadata.items() if not f'{key}.'.startswith(DISTILLER_PREFIX))
    return student


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], *, name: str, strict: bool = True,
                 remedy: str = BELONGS, extra: bool = False) -> str:
    """Load ``weights`` into ``model`` and report the coverage in one line.

    What counts is what the model's own loading says, so keys of old versions are renamed first. A stored data
    preprocessor (mean and std) is not asked for.

    Args:
        name: of what is loaded, for the line.
        remedy: what to do where it does not fit, for the message.
        extra: weights that the model does not have are no error.

    Returns:
        The line, for the log.

    Raises:
        ValueError: with ``strict``, anything but full coverage; the message lists the keys.
    """
    wanted = model.state_dict()
    misshaped = [key for key, value in weights.items() if key in wanted and value.shape != wanted[key].shape]
    # the model's own in place of what does not fit: left out, it would be missing, under another name than the file's
    usable = OrderedDict((key, wanted[key] if key in misshaped else value) for key, value in weights.items())
    if hasattr(weights, '_metadata'):
        usable._metadata = weights._metadata  # type: ignore[attr-defined]
    found = model.load_state_dict(usable, strict=False)  # modules rename keys of old versions here
    missing = [key for key in found.missing_keys if not key.endswith('num_batches_tracked')]
    unexpected = [key for key in found.unexpected_keys if not key.startswith('data_preprocessor.')]
    problems = {'missing': missing, 'unexpected': unexpected, 'of another shape': misshaped}
    loaded = len(wanted) - len(found.missing_keys) - len(misshaped)
    line = f'{name}: {loaded} of {len(wanted)} tensors loaded' + ''.join(
        f', {len(keys)} {kind}' for kind, keys in problems.items() if keys)
    if strict and any(keys for kind, keys in problems.items() if kind != 'unexpected' or not extra):
        listed = '; '.join(f'{kind}: {some(keys, 2)}' for kind, keys in problems.items() if keys)
        raise ValueError(f'{line} ({listed}). {remedy}')
    return line


@master_only
def save_whole(obj: Any, path: str | Path) -> None:
    """``torch.save`` that leaves either the whole file or none."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.')
    try:
        with os.fdopen(handle, 'wb') as file:
            torch.save(obj, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def file_hash(path: str | Path, length: int = 12) -> str:
    """The first digits of a file's SHA-256, to name a checkpoint beyond doubt."""
    digest = hashlib.sha256()
    with Path(path).open('rb') as file:
        for block in iter(lambda: file.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()[:length]
