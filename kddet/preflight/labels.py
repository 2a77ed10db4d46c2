"""Which number a class has in the training data."""
from __future__ import annotations

from typing import Any

from kddet.data import data_leaves

from .report import NOTE, Line


def label_lines(dataset: Any) -> list[Line]:
    """A line where labels go by another order than the names of the classes; nothing where they agree.

    MMDet's COCO data sets number labels in the order of the categories in the json file, whatever the order of
    ``metainfo['classes']`` is.

    Args:
        dataset: of the training loader, with or without wrappers.
    """
    for leaf in data_leaves(dataset):
        coco, numbered = getattr(leaf, 'coco', None), getattr(leaf, 'cat_ids', None)
        if coco is None or not numbered:
            continue
        order = [coco.cats[number]['name'] for number in numbered]
        names = list((getattr(leaf, 'metainfo', None) or {}).get('classes') or order)
        differing = [f'label {label}: {own} in the data, {named} in metainfo'
                     for label, (own, named) in enumerate(zip(order, names)) if own != named]
        if differing:
            return [Line('labels', NOTE, f'{len(differing)} labels of the training data are not the classes of their '
                         'number in metainfo: labels go by the order of the categories in the json file',
                         "list metainfo['classes'] in the order of the json file; classes are mapped and named by it",
                         differing[:3])]
    return []
