import cv2
import pytest
import torch
from mmengine.structures import InstanceData

from kddet.pictures import draw_encodings
from kddet.pictures.encodings import count_found

BOX = (8., 8., 40., 40.)


def instances(boxes, labels, scores=None):
    found = InstanceData(bboxes=torch.tensor(boxes).reshape(-1, 4), labels=torch.tensor(labels, dtype=torch.long))
    if scores is not None:
        found.scores = torch.tensor(scores)
    return found


@pytest.mark.parametrize(('detections', 'right'), [
    (instances([BOX], [1], [0.9]), 1),
    (instances([BOX], [0], [0.9]), 0),  # of another class
    (instances([(8., 8., 40., 23.)], [1], [0.9]), 0),  # of an IoU of 0.47
    (instances([BOX, (9., 8., 40., 40.)], [1, 1], [0.4, 0.5]), 1),  # twice the same object
    (instances([(8., 8., 40., 30.), (8., 8., 40., 39.), (60., 8., 90., 40.)], [1, 1, 1], [0.4, 0.9, 0.8]), 2),
    (instances([], [], []), 0),
])
def test_objects_that_are_found(detections, right):
    truth = instances([BOX, (60., 8., 90., 40.)], [1, 1])
    assert count_found(truth, detections) == right
    assert count_found(instances([], []), detections) == 0


def test_titles_and_names(tmp_path, monkeypatch):
    monkeypatch.setattr('kddet.pictures.encodings.save', lambda figure, path: written.append(figure))
    written = []
    truth, image = instances([BOX, (50., 8., 60., 20.)], [1, 0]), torch.rand(3, 64, 64)
    found = instances([BOX, (40., 40., 60., 60.)], [1, 1], [0.9, 0.8])
    for classes in (('cat', 'dog'), None):
        draw_encodings(tmp_path / 'a.png', image, truth, torch.rand(2, 64, 64), [torch.rand(8, 8)], ['stride 8'], found,
                       classes)
    first, last = (written[0].axes[index] for index in (0, 2))
    assert last.get_title() == 'encodings, yellow: 1 of 2 found, 1 false'
    assert [text.get_text() for text in first.texts] == ['dog', 'cat']
    assert [text.get_text() for text in last.texts] == ['dog', 'dog']
    assert [text.get_text() for text in written[1].axes[0].texts] == ['1', '0']


def test_a_picture_without_objects_is_drawn(tmp_path):
    draw_encodings(tmp_path / 'a.png', torch.rand(3, 64, 64), instances([], []), torch.zeros(0, 64, 64),
                   [torch.zeros(8, 8)], ['stride 8'], instances([], [], []))
    assert cv2.imread(str(tmp_path / 'a.png')).shape[1] == 960
