"""Entries on disk: one safetensors file a picture, whole or not there."""
from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from kddet.files import write_whole

OWN = 'kddet'  # the key of its metadata: one, so that equal entries are equal files
ABANDONED = 3600  # seconds after which a temporary file has no writer any more


class Store:
    """A folder of entries, shared by any number of processes.

    An entry is written under a temporary name and renamed, so that under its own name it is whole; what a disk lost
    afterwards shows in its length or its checksum. Nothing in it is code.

    Args:
        folder: made when the first entry is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._whole: set[str] = set()  # whose checksum is right

    def __contains__(self, key: str) -> bool:
        return os.path.exists(self.path(key))

    def count(self) -> int:
        """Entries that are there."""
        return sum(1 for _ in self.folder.glob('??/[!.]*.safetensors'))

    def path(self, key: str) -> Path:
        return self.folder / key[:2] / f'{key}.safetensors'

    def write(self, key: str, tensors: Mapping[str, Tensor], layout: str) -> int:
        """Keep the tensors of one picture, and how they were arranged.

        Returns:
            The bytes written.
        """
        tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
        content = save(tensors, {OWN: json.dumps(dict(layout=layout, checksum=_checksum(tensors)))})
        write_whole(self.path(key), content)
        return len(content)

    def describe(self, about: dict) -> None:
        """Say in the folder what is in it, for who wants to know whether it is still needed."""
        write_whole(self.folder / 'about.json', json.dumps(about, indent=2, default=str).encode())

    def read(self, key: str) -> tuple[dict[str, Tensor], str] | None:
        """Tensors and their layout; None where there is no entry, or a damaged one, which is removed.

        Its length is compared each time, its checksum the first time that this process reads it.
        """
        path = self.path(key)
        try:
            content = path.read_bytes()
            tensors, own = load(content), json.loads(_metadata(content)[OWN])
            whole = key in self._whole or _checksum(tensors) == own['checksum']
        except FileNotFoundError:
            return None
        except (SafetensorError, KeyError, TypeError, ValueError):
            whole = False
        if whole:
            self._whole.add(key)
            return tensors, own['layout']
        path.unlink(missing_ok=True)
        return None

    def remove_abandoned(self) -> None:
        """Temporary files whose writers were killed."""
        for path in self.folder.glob('??/.*'):
            try:
                if time.time() - path.stat().st_mtime > ABANDONED:
                    path.unlink()
            except FileNotFoundError:  # another process was faster
                continue


def folder_bytes(folder: Path) -> int:
    """Of all files in a folder, 0 where it is not there."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(place, name)).st_size
            except FileNotFoundError:  # renamed meanwhile
                continue
    return total


def _metadata(content: bytes) -> dict[str, str]:
    """Of a safetensors file: it begins with the length of its header, which is json."""
    length = int.from_bytes(content[:8], 'little')
    return json.loads(content[8:8 + length])['__metadata__']


def _checksum(tensors: Mapping[str, Tensor]) -> int:
    value = 1
    for name in sorted(tensors):
        value = zlib.adler32(tensors[name].flatten().view(torch.uint8).numpy().data, value)
    return value
