"""Box AP of one detector on validation data: overall, by size, by class, and of each picture alone."""
from __future__ import annotations

import contextlib
import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from kddet.pictures.matching import MAX_DETECTIONS, Match, matches_of

from .truth import Truth

MEASURES = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')


@dataclass(frozen=True)
class Accuracy:
    """All figures are points, 0 to 100, as COCO defines them; None where there is no object to find.

    Args:
        measures: by the names of :data:`MEASURES`.
        classes: mAP by the name of the class.
        pictures: average precision of each picture alone by its id, all classes ranked together, mean over the IoU
            thresholds: wrong classes count, and so does what is found where nothing is.
        matches: by picture, what the detector made of it at IoU 0.5.
    """
    measures: dict[str, float | None]
    classes: dict[str, float | None]
    pictures: dict[int, float | None]
    matches: dict[int, list[Match]]


def measure(truth: Truth, found: Sequence[dict], classes: Sequence[str]) -> Accuracy:
    """Evaluate as MMDet's CocoMetric does.

    Args:
        found: ``image_id``, ``category_id``, ``bbox`` as (x, y, w, h), ``score``: COCO's format of results.
        classes: those of the data that are measured.
    """
    objects = truth.objects
    ids = {category['name']: category['id'] for category in objects.dataset['categories']}
    names = {ids[name]: name for name in classes}
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        evaluation = COCOeval(objects, objects.loadRes([dict(each) for each in found]) if found else COCO(), 'bbox')
        evaluation.params.catIds = list(names)
        evaluation.params.imgIds = list(truth.files)
        evaluation.params.maxDets = MAX_DETECTIONS
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval['precision'][..., -1]  # (IoU threshold, recall, class, size)
    everything = [result for result in evaluation.evalImgs if result and result['aRng'] == evaluation.params.areaRng[0]]
    by_picture = defaultdict(list)
    for result in everything:
        by_picture[result['image_id']].append(result)
    return Accuracy(
        measures=dict(zip(MEASURES, map(_mean, (
            precision[..., 0], precision[0, ..., 0], precision[5, ..., 0], *np.moveaxis(precision, -1, 0)[1:])))),
        classes={name: _mean(precision[:, :, index, 0]) for index, name in enumerate(names.values())},
        pictures={image: _alone(results) for image, results in by_picture.items()},
        matches={image: matches_of(evaluation, results, names) for image, results in by_picture.items()})


def _mean(precision: np.ndarray) -> float | None:
    known = precision[precision > -1]
    return 100 * float(known.mean()) if known.size else None


def _alone(results: Sequence[dict]) -> float | None:
    """Average precision of a picture: the mean, over its objects, of the precision down to the one that finds it."""
    objects = sum(int(np.sum(np.logical_not(result['gtIgnore']))) for result in results)
    if not objects:
        return None
    scores = np.concatenate([np.asarray(result['dtScores'], float) for result in results])
    order = np.argsort(-scores, kind='stable')
    matched, ignored = (np.concatenate([result[key] for result in results], axis=1)[:, order].astype(bool)
                        for key in ('dtMatches', 'dtIgnore'))
    right, wrong = (matched & ~ignored).cumsum(1), (~matched & ~ignored).cumsum(1)
    precision = np.where(matched & ~ignored, right / np.maximum(right + wrong, 1), 0)
    return 100 * float(precision.sum(1).mean()) / objects
