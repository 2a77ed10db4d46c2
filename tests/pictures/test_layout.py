"""Boxes and labels beside each other."""
from itertools import combinations

import pytest

from kddet.pictures.layout import MOST, apart, place_labels

BOX, SIZE, AREA = (100.0, 100.0, 140.0, 160.0), (60, 20), (300, 300)


@pytest.mark.parametrize('box', [BOX, (5.0, 5.0, 9.0, 9.0)])
def test_boxes_at_one_place_are_all_seen(box):
    first, *others = apart([box] * MOST, 4)
    assert first == box
    for one, other in combinations([first, *others], 2):
        assert max(abs(a - b) for a, b in zip(one, other)) >= 4
    assert apart([box] * (MOST + 2), 4)[MOST:] == [None, None]


def test_boxes_that_are_apart_stay_where_they_are():
    other = (110.0, 100.0, 140.0, 160.0)
    assert apart([BOX, other], 4) == [BOX, other]


@pytest.mark.parametrize('boxes', [[BOX] * 8, [(270.0, 0.0, 298.0, 40.0)] * 4, [BOX, (120.0, 120.0, 180.0, 180.0)] * 4])
def test_labels_touch_their_box_or_the_label_of_one_at_its_place(boxes):
    places = place_labels(boxes, [SIZE] * len(boxes), AREA)
    labels = [(x, y, x + SIZE[0], y + SIZE[1]) for x, y in filter(None, places)]
    assert len(labels) >= 4
    assert all(min(x1, y1) >= 0 and x2 <= AREA[0] and y2 <= AREA[1] for x1, y1, x2, y2 in labels)
    assert not any(gap(one, other) < 0 for one, other in combinations(labels, 2))
    for index, (box, place) in enumerate(zip(boxes, places)):
        if place:
            own = (*place, place[0] + SIZE[0], place[1] + SIZE[1])
            near = [box, *((x, y, x + SIZE[0], y + SIZE[1]) for other, found in zip(boxes[:index], places) if
                           other == box and found for x, y in [found])]
            assert min(gap(own, each) for each in near) <= 0


def test_where_there_is_no_place():
    whole = (0.0, 0.0, 60.0, 20.0)
    assert place_labels([whole] * 2, [SIZE] * 2, (60, 20)) == [(0, 0), None]
    assert place_labels([whole], [(0, 20)], (60, 20)) == [None]


def gap(one, other):
    """Below 0 where they overlap, 0 where they touch."""
    return max(max(one[axis], other[axis]) - min(one[axis + 2], other[axis + 2]) for axis in (0, 1))
