import pytest
import torch

from kddet.recording.strides import strides_of


def maps(*sizes):
    return [torch.zeros(1, 2, *size) for size in sizes]


@pytest.mark.parametrize(('size', 'levels', 'known', 'strides'), [
    ((256, 256), [(64, 64), (8, 8), (2, 2), (1, 1)], (), [4, 32, 128, 256]),
    ((500, 333), [(63, 42), (8, 6), (4, 3)], (), [8, 64, 128]),
    ((300, 300), [(38, 38), (10, 10), (5, 5), (3, 3), (1, 1)], (), [8, 32, 64, 128, 300]),
    ((300, 300), [(38, 38), (10, 10), (5, 5), (3, 3), (1, 1)], (8, 16, 32, 64, 100, 300), [8, 32, 64, 100, 300]),
    ((64, 64), [(1, 1), (1, 1)], (64, 128), [64, 128]), ((256, 256), [(16, 16), (16, 16)], (), [16, 16]),
    ((256, 256), [(3, 3)], (100,), [100]),
    ((256, 256), [(2, 2), (1, 1), (1, 1)], (107, 160, 320), [128, 256, 256]), ((240, 240), [(100, 100)], (), [2.4])])
def test_powers_of_two_then_those_of_the_anchors_then_the_ratio(size, levels, known, strides):
    assert strides_of(maps(*levels), size, known) == strides


def test_vectors_have_none():
    assert strides_of([torch.zeros(2, 64)], (256, 256)) == [None]
