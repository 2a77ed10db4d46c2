"""Boxes that any other tool found, as COCO results: ``[{image_id, category_id, bbox, score}, ...]``."""
from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import mmcv

KEYS = 'image_id', 'category_id', 'bbox', 'score'


def read_results(file: str | Path) -> list[dict]:
    """The entries of a COCO results json, or of the ``annotations`` of a COCO json where all have a score.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is not that; names the first entry that is wrong.
    """
    path = Path(file)
    if not path.is_file():
        raise FileNotFoundError(f'boxes {str(file)!r} do not exist; give a json of COCO results')
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f'{path} is not json ({error})') from error
    entries = content.get('annotations') if isinstance(content, dict) else content
    if not isinstance(entries, list) or not entries:
        raise ValueError(f'{path} holds no boxes; it must be a list of COCO results, '
                         '[{"image_id": 1, "category_id": 1, "bbox": [x, y, width, height], "score": 0.9}, ...]')
    for number, entry in enumerate(entries):
        missing = [key for key in KEYS if not isinstance(entry, dict) or key not in entry]
        if missing or len(entry['bbox']) != 4 or not _finite([*entry['bbox'], entry['score']]):
            raise ValueError(f'{path}: entry {number} is {str(entry)[:120]}; each must have {", ".join(KEYS)}, the box '
                             'as [x, y, width, height] in pixels of the picture, all of them numbers')
    return entries


def pictures_with_boxes(entries: Sequence[dict], images: Sequence[dict], ids: Sequence[int], folder: Path, *,
                        score_thr: float) -> Iterator[dict]:
    """What :meth:`kddet.datasets.pseudo_labels.PseudoLabels.add` takes, picture by picture.

    Args:
        entries: of :func:`read_results`; ``image_id`` is a picture's id, or the stem of its file name.
        images: of a COCO json; those without width and height are read.
        ids: of the categories.
        folder: that file names start from.
        score_thr: boxes below are left out. Others are clipped to the picture; those under a pixel go.

    Raises:
        ValueError: boxes of pictures or categories that are not there.
    """
    stems = {Path(image['file_name']).stem: image['id'] for image in images}
    known = {image['id'] for image in images}
    found: dict[Any, list[dict]] = {}
    for entry in entries:
        own = entry['image_id']
        found.setdefault(own if own in known else stems.get(str(own), own), []).append(entry)
    if unknown := [own for own in found if own not in known]:
        raise ValueError(f'{len(unknown)} of {len(found)} pictures with boxes are not in the json that names the '
                         f'pictures, the first is image_id {unknown[0]!r}; give the json that they were found on')
    if wrong := sorted({entry['category_id'] for entry in entries}.difference(ids), key=str):
        raise ValueError(f'boxes have category_id {", ".join(map(str, wrong[:5]))}, and the categories have '
                         f'{", ".join(map(str, ids[:20]))}; some tools count from 0 where COCO counts from 1: '
                         '--category-offset 1 adds 1')
    labels = {number: label for label, number in enumerate(ids)}
    for image in images:
        width, height = _size(image, folder)
        boxes = [(labels[entry['category_id']], round(float(entry['score']), 4), _clipped(entry['bbox'], width, height))
                 for entry in found.get(image['id'], ()) if entry['score'] >= score_thr]
        yield dict(id=image['id'], file_name=image['file_name'], width=width, height=height,
                   detections=[box for box in boxes if min(box[2][2:]) >= 1])


def _clipped(box: Sequence[float], width: int, height: int) -> list[float]:
    x1, y1, x2, y2 = box[0], box[1], box[0] + box[2], box[1] + box[3]
    left, top, right, bottom = max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)
    return [round(float(side), 2) for side in (left, top, right - left, bottom - top)]


def _size(image: dict, folder: Path) -> tuple[int, int]:
    if 'width' in image and 'height' in image:
        return image['width'], image['height']
    height, width = mmcv.imread(str(folder / image['file_name'])).shape[:2]
    return width, height


def _finite(values: Sequence[Any]) -> bool:
    return all(isinstance(value, (int, float)) and math.isfinite(value) for value in values)
