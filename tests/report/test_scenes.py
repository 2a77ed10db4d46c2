"""A picture inside the page."""
import base64
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from kddet.pictures.matching import Match
from kddet.report.accuracy import Accuracy
from kddet.report.scenes import SIDE, scene


def detector(name, *matches, classes=('cat', 'dog')):
    own = dict.fromkeys(classes)
    return SimpleNamespace(name=name, accuracy=Accuracy({}, own, {7: 50.0}, {7: list(matches)} if matches else {}))


@pytest.fixture
def file(tmp_path):
    cv2.imwrite(str(tmp_path / 'one.png'), np.zeros((2 * SIDE, 4 * SIDE, 3), np.uint8))
    return str(tmp_path / 'one.png')


CAT, DOG = (0.0, 0.0, 400.0, 400.0), (800.0, 400.0, 1200.0, 800.0)
OBJECTS = [Match(CAT, 'cat', None, True, 0.9), Match(DOG, 'dog', None, True, 0.2)]


def test_it_is_scaled_with_its_boxes(file):
    drawn = scene('key', file, 7, 12.5, [detector('student', *OBJECTS)])
    assert (drawn.width, drawn.height) == (SIDE, SIDE // 2)
    data = base64.b64decode(drawn.data.partition('base64,')[2])
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape == (SIDE // 2, SIDE, 3)
    assert [(box.x, box.y, box.width, box.height) for box in drawn.panels[0].boxes] == [
        (0, 0, 100, 100), (200, 100, 100, 100)]


def test_as_many_detections_as_objects_the_best(file):
    right, second, wrong = Match(CAT, 'cat', 0.9, True), Match(DOG, 'dog', 0.2, True), Match(DOG, 'cat', 0.5, False)
    objects, panel = scene('key', file, 7, 1, [detector('student', right, second, wrong, *OBJECTS)]).panels
    assert objects.summary == '2 to find' and panel.summary == '1 right, 1 wrong, 1 missed'
    assert [(box.kind, box.label) for box in panel.boxes] == [
        ('missed', ''), ('wrong', '✗ cat 0.50'), ('right', '✓ cat 0.90')]
    assert panel.boxes[1].text == 'cat, wrong, score 0.50'


def test_a_detector_that_finds_nothing(file):
    missed = [Match(CAT, 'cat', None, False)]
    assert scene('key', file, 7, 1, [detector('student', *missed)]).panels[1].summary == '0 right, 0 wrong, 1 missed'


def test_a_teacher_of_other_classes_has_its_own_objects_to_find(file):
    teacher = detector('teacher', Match(CAT, 'cat', 0.9, True), Match(CAT, 'cat', 0.8, False), OBJECTS[0],
                       classes=['cat'])
    objects, first, _ = scene('key', file, 7, 1, [teacher, detector('student', *OBJECTS)]).panels
    assert objects.summary == '2 to find'
    assert first.summary == '1 right, 0 wrong, 0 missed; 1 of classes that it does not have'
    blind = scene('key', file, 7, 1, [detector('teacher', classes=['cow']), detector('student', *OBJECTS)]).panels[1]
    assert blind.summary == '0 right, 0 wrong, 0 missed; 2 of classes that it does not have'


def test_every_box_at_one_place_is_seen_with_its_label(file):
    again = [Match(CAT, 'cat', 0.9, True), Match(CAT, 'dog', 0.8, False), Match(CAT, 'cat', 0.7, False)]
    panel = scene('key', file, 7, 1, [detector('student', *again, *OBJECTS, OBJECTS[0])]).panels[1]
    boxes = [box for box in panel.boxes if box.kind != 'missed']
    assert {box.label for box in boxes} == {'✓ cat 0.90', '✗ dog 0.80', '✗ cat 0.70'}
    assert len({(box.x, box.y, box.width) for box in boxes}) == len({box.place for box in boxes}) == 3
    assert boxes[-1].kind == 'right' and (boxes[-1].x, boxes[-1].width) == (0, 100)  # the best stays where it is
    assert panel.summary == '1 right, 2 wrong, 1 missed'


def test_what_cannot_be_seen_is_said(file):
    again = [Match(CAT, 'cat', 0.9 - index / 10, index == 0) for index in range(6)]
    panel = scene('key', file, 7, 1, [detector('student', *again, *OBJECTS * 3)]).panels[1]
    assert panel.summary.endswith('2 more at the same place') and '3 missed' in panel.summary
    assert len(panel.boxes) == 4 + 3


def test_a_picture_that_is_gone(tmp_path):
    with pytest.raises(FileNotFoundError):
        scene('key', str(tmp_path / 'gone.jpg'), 7, 1, [detector('student', *OBJECTS)])
