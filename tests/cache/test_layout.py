import gc
import weakref

import pytest
import torch

from kddet.cache.layout import put_together, take_apart
from kddet.recording.recorder import Records, call_of


def records(**values):
    found = Records(values, 'teacher')
    for tap, calls in values.items():
        for value in calls:
            found.add(tap, call_of(tap, value))
    return found


def split(tensors, count):
    return [{str(number): tensor[index] for number, tensor in enumerate(tensors)} for index in range(count)]


def test_records_come_back_tap_by_tap():
    maps, vector = (torch.rand(2, 3, 4, 4), torch.rand(2, 3, 2, 2)), torch.rand(2, 5)
    found = records(**{'neck': [maps], 'head': [([maps[0], vector], None)], 'conv': list(maps),
                       'conv:input': [maps[1]]})
    tensors, layout = take_apart(found, found, 2)
    assert len(tensors) == 3  # each is kept once
    again = put_together(split(tensors, 2), layout, ['conv:input', 'conv', 'neck', 'head'], torch.device('cpu'))
    for tap in ('neck', 'conv', 'conv:input'):
        assert all(torch.equal(own, other) for own, other in zip(again.pyramid(tap), found.pyramid(tap), strict=True))
    (pair, nothing), = again.values_of('head')
    assert torch.equal(pair[1], vector) and nothing is None
    with pytest.raises(ValueError, match="'head'.*was not asked for"):
        put_together(split(tensors, 2), layout, ['neck'], torch.device('cpu')).pyramid('head')


def test_tensors_go_with_the_records_and_wait_for_no_garbage_collector():
    gc.disable()
    try:
        found = records(neck=[(torch.rand(2, 3, 4, 4), torch.rand(2, 3, 2, 2))])
        tensors, layout = take_apart(found, found, 2)
        again = put_together(split(tensors, 2), layout, ['neck'], torch.device('cpu'))
        left = [weakref.ref(level) for taken in (found, again) for level in taken.pyramid('neck')]
        assert all(level() is not None for level in left)
        del found, again, tensors
        assert [level() for level in left] == [None] * 4
    finally:
        gc.enable()


def test_features_are_kept_for_taps_in_the_roi_head():
    features = (torch.rand(2, 3, 4, 4),)
    found = records(**{'neck': [features], 'roi_head.bbox_head': []})
    found.features = features
    tensors, layout = take_apart(found, found, 2)
    assert len(tensors) == 1
    again = put_together(split(tensors, 2), layout, found, torch.device('cpu'))
    assert torch.equal(again.features[0], features[0]) and not again['roi_head.bbox_head']
    assert put_together(split(tensors, 2), layout, ['neck'], torch.device('cpu')).features is None


def test_the_order_in_memory_comes_back():
    """Sums go by it, and their last bits."""
    tensor = torch.rand(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    tensors, layout = take_apart(found := records(neck=[tensor]), found, 2)
    again = put_together([{'0': row.contiguous()} for row in tensors[0]], layout, ['neck'], torch.device('cpu'))
    assert again.pyramid('neck')[0].stride() == tensor.stride() and torch.equal(again.pyramid('neck')[0], tensor)


@pytest.mark.parametrize(('value', 'message'), [
    (torch.rand(8, 49, 3), r"tap 'block' of the teacher gives \(8, 49, 3\) for 2 pictures"), ('text', 'gives str'),
    (torch.tensor(1.), r'gives \(\) for 2 pictures')])
def test_what_does_not_go_by_picture_is_refused(value, message):
    found = records(block=[value])
    with pytest.raises(ValueError, match=message):
        take_apart(found, found, 2)
