import pytest
import torch

from kddet import FrozenTeacher
from kddet.teachers.padding import cut, pad_to_multiple
from kddet.testing import tiny_detector


def test_sides_become_multiples_and_what_fits_is_the_very_same_tensor():
    inputs = torch.rand(2, 3, 40, 64)
    padded = pad_to_multiple(inputs, 32, 7)
    assert padded.shape == (2, 3, 64, 64)
    assert torch.equal(padded[:, :, :40], inputs) and (padded[:, :, 40:] == 7).all()
    assert pad_to_multiple(inputs, 8, 7) is inputs


def test_maps_lose_the_cells_that_begin_in_the_padding():
    maps = torch.rand(2, 8, 8, 16), [torch.rand(2, 4, 1, 2)]
    cut_maps = cut(maps, (2, 3, 64, 128), (40, 65))
    assert torch.equal(cut_maps[0], maps[0][:, :, :5, :9]) and cut_maps[1][0].shape == (2, 4, 1, 2)
    assert cut(torch.rand(1, 8, 2, 2), (1, 3, 96, 128), (60, 65)).shape[2:] == (1, 2)  # a stride of 64
    rois, vectors = torch.rand(9, 8, 7, 7), torch.rand(2, 8)
    assert cut(rois, (2, 3, 64, 128), (40, 65)) is rois and cut(vectors, (2, 3, 64, 128), (40, 65)) is vectors


@pytest.mark.parametrize('taps', [['neck', 'bbox_head'], ['backbone', 'neck.P3', 'bbox_head.retina_cls:input']])
def test_a_teacher_gets_what_it_was_built_for_and_its_maps_fit_the_students(taps):
    """What a FrozenTeacher says of an odd batch is the beginning of what it says of the batch padded by hand."""
    frozen = FrozenTeacher(dict(model=tiny_detector('retinanet')), None)
    inputs = torch.rand(2, 3, 72, 100)
    expected = frozen.record(pad_to_multiple(inputs, 32, 0), None, taps)
    found = frozen.record(inputs, None, taps)
    frozen.detector.data_preprocessor.pad_size_divisor = 1
    without = frozen.record(inputs, None, taps)
    compared = 0
    for tap in taps:
        for item in (0, 1) if tap == 'bbox_head' else (None,):
            for level, whole, bare in zip(*(records.pyramid(tap, item) for records in (found, expected, without))):
                assert level.shape == bare.shape
                assert torch.equal(level, whole[:, :, :level.shape[2], :level.shape[3]])
                compared += level.shape[2:] != whole.shape[2:]
    assert compared
