"""Which number a class has in the training data."""
from __future__ import annotations

import json
import mmap
import os
from pathlib import Path
from typing import Any

from kddet.project.data import data_leaves

from .report import NOTE, Line

MOST = 2**20  # bytes of a list of categories


def label_lines(dataset: Any) -> list[Line]:
    """A line where labels go by another order than the names of the classes; nothing where they agree.

    MMDet's COCO data sets number labels in the order of the categories in the json file, whatever the order of
    ``metainfo['classes']`` is.

    Args:
        dataset: of the training loader, with or without wrappers.
    """
    for leaf in data_leaves(dataset):
        numbered, file = getattr(leaf, 'cat_ids', None), getattr(leaf, 'ann_file', None)
        if not numbered or not file or not os.path.isfile(file):
            continue
        known = categories(file)
        order = [known.get(number) for number in numbered]
        names = list((getattr(leaf, 'metainfo', None) or {}).get('classes') or order)
        differing = [f'label {label}: {own} in the data, {named} in metainfo'
                     for label, (own, named) in enumerate(zip(order, names)) if own not in (None, named)]
        if differing:
            return [Line('labels', NOTE, f'{len(differing)} labels of the training data are not the classes of their '
                         'number in metainfo: labels go by the order of the categories in the json file',
                         "list metainfo['classes'] in the order of the json file; classes are mapped and named by it",
                         differing[:3])]
    return []


def categories(file: str) -> dict[int, str]:
    """Names by id, read off a json file of COCO's format without reading the rest, which may be large."""
    with Path(file).open('rb') as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = content.find(b'[', content.rfind(b'"categories"'))
        text = content[start:start + MOST].decode(errors='replace')
    try:
        found, _ = json.JSONDecoder().raw_decode(text)
        return {entry['id']: entry['name'] for entry in found}
    except (ValueError, TypeError, KeyError):
        return {}
