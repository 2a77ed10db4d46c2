"""Which detections are right and which objects are found, as COCO's evaluation matches them at IoU 0.5."""
from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

MAX_DETECTIONS = [100, 300, 1000]  # as MMDet's CocoMetric has them
Box = tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels of the picture as it is on disk


@dataclass(frozen=True)
class Match:
    """A detection, or an object (``score`` None); ``partner`` is the score of the detection that found it."""
    box: Box
    name: str
    score: float | None
    found: bool  # the detection is right; the object was found
    partner: float = 0.0


def match(found: Sequence[tuple[Box, str, float]], objects: Sequence[tuple[Box, str, bool]]) -> list[Match]:
    """Of one picture.

    Args:
        found: box, class and score of each detection.
        objects: box and class of each, and whether it does not count: what is found there is neither right nor wrong,
            and is left out.
    """
    names = dict(enumerate(dict.fromkeys(name for _, name, _ in (*objects, *found)), 1))
    ids = {name: key for key, name in names.items()}
    truth = _coco(names, [dict(_annotation(box, ids[name]), iscrowd=int(ignored)) for box, name, ignored in objects])
    detected = _coco(names, [dict(_annotation(box, ids[name]), score=score) for box, name, score in found])
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        evaluation = COCOeval(truth, detected, 'bbox')
        evaluation.params.maxDets, evaluation.params.iouThrs = MAX_DETECTIONS, [0.5]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = evaluation.params.areaRng[:1], ['all']
        evaluation.evaluate()
    return matches_of(evaluation, [result for result in evaluation.evalImgs if result], names)


def matches_of(evaluation: COCOeval, results: Sequence[dict], names: dict[int, str]) -> list[Match]:
    """What COCO's evaluation says at its lowest IoU, which is 0.5.

    Args:
        results: of ``evaluation.evalImgs``, all of one picture.
        names: of the categories.
    """
    matches = []
    for result in results:
        name = names[result['category_id']]
        scores = dict(zip(result['dtIds'], result['dtScores']))
        for index, (key, score) in enumerate(scores.items()):
            if not result['dtIgnore'][0, index]:
                matches.append(Match(_corners(evaluation.cocoDt.anns[key]), name, float(score),
                                     bool(result['dtMatches'][0, index])))
        for index, key in enumerate(result['gtIds']):
            if not result['gtIgnore'][index]:
                partner = float(scores.get(int(result['gtMatches'][0, index]), 0.0))
                matches.append(Match(_corners(evaluation.cocoGt.anns[key]), name, None, partner > 0, partner))
    return matches


def _annotation(box: Box, category: int) -> dict[str, Any]:
    left, top, right, bottom = map(float, box)
    return dict(image_id=1, category_id=category, bbox=[left, top, right - left, bottom - top],
                area=(right - left) * (bottom - top), iscrowd=0)


def _coco(names: dict[int, str], annotations: Sequence[dict]) -> COCO:
    coco = COCO()
    coco.dataset = dict(images=[dict(id=1)], categories=[dict(id=key, name=name) for key, name in names.items()],
                        annotations=[dict(each, id=index) for index, each in enumerate(annotations, 1)])
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def _corners(annotation: dict) -> Box:
    left, top, width, height = (float(value) for value in annotation['bbox'])
    return left, top, left + width, top + height
