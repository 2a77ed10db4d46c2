import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from kddet.pictures import Panel, compare_picture

GREEN, YELLOW = (0, 255, 0), (255, 255, 0)


def instances(*boxes, **others):
    return InstanceData(bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
                        labels=torch.arange(len(boxes)), **others)


def coloured(picture, colour, corner, radius=4):
    """Whether a colour is near a place (x, y)."""
    x, y = corner
    near = picture[y - radius:y + radius, x - radius:x + radius].astype(int)
    return bool((abs(near - colour).sum(-1) < 60).any())


@pytest.mark.parametrize(('size', 'panel'), [((120, 160), (360, 480)), ((600, 800), (600, 800)),
                                             ((960, 1920), (480, 960))])
def test_boxes_stay_where_they_are_on_the_enlarged_picture(size, panel):
    height, width = size
    box = (width // 4, height // 4, width // 2, height // 2)
    image = np.full((height, width, 3), 90, np.uint8)
    found = instances(box, scores=torch.tensor([0.9]))
    drawn = compare_picture(image, [Panel('truth', instances(box), ['a']), Panel('nothing', instances()),
                                    Panel('found', found, ['a'])])
    assert drawn.shape == (panel[0] + 34, 3 * panel[1] + 12, 3) and drawn.dtype == np.uint8
    corner = panel[1] // 2, panel[0] // 2 + 34
    assert coloured(drawn, GREEN, corner) and not coloured(drawn, YELLOW, corner)
    second, third = ((corner[0] + index * (panel[1] + 6), corner[1]) for index in (1, 2))
    assert not coloured(drawn, GREEN, second) and not coloured(drawn, YELLOW, second)
    assert coloured(drawn, YELLOW, third)


def test_the_picture_that_comes_in_stays_as_it_is():
    image = np.zeros((480, 480, 3), np.uint8)
    compare_picture(image, [Panel('truth', instances((1, 1, 400, 400)))])  # a label without a name, too
    assert not image.any()
