import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from kddet.pictures import Panel, compare_picture
from kddet.pictures.canvas import Canvas, text_size
from kddet.pictures.comparison import TITLE, _draw, _marks
from kddet.pictures.kinds import KINDS

OBJECT, RIGHT, WRONG, FOUND = ([int(KINDS[kind].colour[start:start + 2], 16) for start in (1, 3, 5)]
                               for kind in ('object', 'right', 'wrong', 'found'))


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
    assert drawn.shape == (panel[0] + 86, 3 * panel[1] + 12, 3) and drawn.dtype == np.uint8
    corner = panel[1] // 2, panel[0] // 2 + TITLE
    assert coloured(drawn, OBJECT, corner) and not coloured(drawn, FOUND, corner)
    second, third = ((corner[0] + index * (panel[1] + 6), corner[1]) for index in (1, 2))
    assert not coloured(drawn, OBJECT, second) and not coloured(drawn, FOUND, second)
    assert coloured(drawn, FOUND, third)


def test_the_picture_that_comes_in_stays_as_it_is():
    image = np.zeros((480, 480, 3), np.uint8)
    compare_picture(image, [Panel('truth', instances((1, 1, 400, 400)))])  # a label without a name, too
    assert not image.any()


def test_colours_are_of_what_became_of_a_detection():
    truth = Panel('truth', instances((20, 20, 60, 60), (90, 20, 130, 60)), ['cat', 'dog', 'eel'])
    found = instances((21, 20, 60, 60), (90, 20, 130, 60), (30, 80, 60, 110), scores=torch.tensor([0.5, 0.9, 0.8]))
    panel = Panel('student', found, ['cat', 'eel', 'cow'], truth)
    assert [(mark.kind, mark.label) for mark in _marks(panel)] == [
        ('right', '✓ cat 0.50'), ('wrong', '✗ eel 0.90'), ('found', 'cow 0.80')]  # a dog is not its class to miss
    missing = Panel('student', instances(scores=torch.zeros(0)), ['cat', 'dog'], truth)
    assert [mark.kind for mark in _marks(missing)] == ['missed', 'missed']
    drawn = compare_picture(np.zeros((160, 160, 3), np.uint8), [truth, panel])
    places = [(486 + 3 * x, TITLE + 3 * y) for x, y in ((40, 60), (110, 60), (45, 110))]
    assert [[coloured(drawn, colour, place) for colour in (RIGHT, WRONG, FOUND)] for place in places] == [
        [True, False, False], [False, True, False], [False, False, True]]


def test_objects_that_do_not_count_are_neither_drawn_nor_judged():
    truth = Panel('truth', instances((20, 20, 60, 60), ignored=torch.tensor([True])), ['cat'])
    found = Panel('student', instances((20, 20, 60, 60), scores=torch.tensor([0.5])), ['cat'], truth)
    assert _marks(truth) == _marks(found) == []


def test_letters_stay_inside_and_what_has_no_place_is_said():
    """Long names at the right edge; the letters are measured as they are drawn."""
    name = 'WWWWWWWWWWWWWWWWWWW'
    found = instances(*[(400, 20 + 8 * index, 470, 90 + 8 * index) for index in range(40)], scores=torch.rand(40))
    image = np.zeros((480, 480, 3), np.uint8)
    canvas, panel = Canvas(TITLE + 480, 480), Panel('many', found, [name] * 40)
    _draw(canvas, image, panel, _marks(panel), 0)
    canvas.pixels()
    letters = {text: text.get_window_extent() for text in canvas.axes.texts}
    assert all(box.x0 >= 0 and box.x1 <= 480 for box in letters.values())
    labels = [box for text, box in letters.items() if text.get_text().startswith(name)]
    assert all(abs(box.width - text_size(text.get_text(), 12)[0]) < 6 for text, box in letters.items()
               if text.get_text().startswith(name))
    assert not any(one.overlaps(other) for index, one in enumerate(labels) for other in labels[:index])
    summary = [text.get_text() for text in canvas.axes.texts][-1]
    assert 1 < len(labels) < 40 and summary.endswith(f'{40 - len(labels)} unlabelled')
