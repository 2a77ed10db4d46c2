"""Figures of detections: COCO's as the host has them, and those of single pictures by hand."""
import json

import numpy as np
import pytest
from mmdet.evaluation import CocoMetric
from pycocotools.coco import COCO

from kddet.report.accuracy import MEASURES, measure
from kddet.report.truth import Truth

CLASSES = ('cat', 'dog', 'eel')


def truth(*objects, pictures=(1, 2)):
    """Objects as ``(picture, class, x)``: squares of 40 pixels."""
    content = dict(
        images=[dict(id=picture, width=400, height=400) for picture in pictures],
        categories=[dict(id=10 * index, name=name) for index, name in enumerate(CLASSES, 1)],
        annotations=[dict(id=index, image_id=picture, category_id=10 + 10 * CLASSES.index(name), bbox=[x, 0, 40, 40],
                          area=1600, iscrowd=0) for index, (picture, name, x) in enumerate(objects, 1)])
    coco = COCO()
    coco.dataset = content
    coco.createIndex()
    return Truth(coco, CLASSES, {picture: f'{picture}.jpg' for picture in pictures})


def found(*detections):
    return [dict(image_id=picture, category_id=10 + 10 * CLASSES.index(name), bbox=[x, 0, 40, 40], score=score)
            for picture, name, x, score in detections]


def test_all_found_is_100_and_nothing_is_0():
    known = truth((1, 'cat', 0), (1, 'cat', 100), (2, 'dog', 0))
    best = measure(known, found((1, 'cat', 0, 0.5), (1, 'cat', 100, 0.4), (2, 'dog', 0, 0.9)), CLASSES)
    assert best.measures['mAP'] == pytest.approx(100)
    assert best.measures['mAP_m'] == pytest.approx(100)
    assert best.measures['mAP_s'] is best.classes['eel'] is None  # there is none to find
    assert [best.classes['cat'], best.classes['dog'], best.pictures[1], best.pictures[2]] == [pytest.approx(100)] * 4
    worst = measure(known, [], CLASSES)
    assert worst.measures['mAP'] == worst.classes['cat'] == worst.pictures[1] == 0


def test_the_precision_of_a_picture_by_hand():
    """Two objects, found first and third: (1 + 2/3) / 2; what is of another class counts, wherever it is."""
    known = truth((1, 'cat', 0), (1, 'dog', 100))
    own = measure(known, found((1, 'cat', 0, 0.9), (1, 'eel', 300, 0.8), (1, 'dog', 100, 0.7)), CLASSES)
    assert own.pictures[1] == pytest.approx(100 * (1 + 2 / 3) / 2)
    assert 2 not in own.pictures
    assert measure(known, found((2, 'cat', 0, 0.9)), CLASSES).pictures[2] is None


def test_what_became_of_boxes_and_objects():
    known = truth((1, 'cat', 0), (1, 'dog', 100), (2, 'cat', 50))
    matches = measure(known, found((1, 'cat', 0, 0.9), (1, 'cat', 5, 0.4), (1, 'cat', 100, 0.6)), CLASSES).matches
    assert {(match.name, match.score, match.found) for match in matches[1] if match.score is not None} == {
        ('cat', 0.9, True), ('cat', 0.4, False), ('cat', 0.6, False)}  # right, a second time, the wrong class
    assert {(match.name, match.box, match.found, match.partner) for match in matches[1] if match.score is None} == {
        ('cat', (0, 0, 40, 40), True, 0.9), ('dog', (100, 0, 140, 40), False, 0)}
    assert [match.found for match in matches[2]] == [False]


def test_classes_that_are_not_asked_for_do_not_count():
    known = truth((1, 'cat', 0), (1, 'dog', 100))
    own = measure(known, found((1, 'cat', 0, 0.9)), ('cat',))
    assert [own.measures['mAP'], own.pictures[1]] == [pytest.approx(100)] * 2 and own.classes.keys() == {'cat'}


def test_figures_are_the_hosts(digits):
    """Boxes shaken at random, some classes wrong: the same to the last digit that the host rounds to."""
    file = digits / 'instances_val.json'
    coco = COCO(file)
    names = tuple(category['name'] for category in coco.dataset['categories'])
    random = np.random.default_rng(0)
    detections, samples = [], []
    for image in coco.dataset['images']:
        own = [each for each in coco.dataset['annotations'] if each['image_id'] == image['id']] * 3
        boxes = np.array([each['bbox'] for each in own]) + random.normal(0, 1.5, (len(own), 4))
        labels = np.array([each['category_id'] - 1 for each in own])
        labels[random.random(len(own)) < 0.2] = 3
        scores = random.random(len(own))
        detections += [dict(image_id=image['id'], category_id=int(label) + 1, bbox=box.tolist(), score=float(score))
                       for box, label, score in zip(boxes, labels, scores)]
        corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
        samples.append((image['id'], dict(bboxes=corners, scores=scores, labels=labels)))
    metric = CocoMetric(ann_file=str(file), classwise=True)
    metric.dataset_meta = dict(classes=names)
    theirs = metric.compute_metrics([(dict(img_id=key), dict(own, img_id=key)) for key, own in samples])
    ours = measure(Truth(coco, names, dict.fromkeys(coco.getImgIds(), '')), detections, names)
    assert 5 < ours.measures['mAP'] < 95
    for name in MEASURES:
        known = theirs[f'bbox_{name}']
        assert known < 0 if ours.measures[name] is None else known == pytest.approx(ours.measures[name] / 100, abs=6e-4)
    seen = {name: value for name, value in ours.classes.items() if value is not None}
    assert seen and json.dumps(seen)
    for name, value in seen.items():
        assert theirs[f'{name}_precision'] == pytest.approx(value / 100, abs=6e-4)
