from unittest import mock

import cv2
import pytest
import torch
from mmengine.structures import InstanceData

from kddet.pictures import draw_encodings, draw_energy


def test_levels_beside_each_other_and_equal_ones_have_no_difference(tmp_path):
    image, boxes = torch.rand(3, 64, 64), torch.tensor([[8.0, 8.0, 40.0, 40.0]])
    strong, nothing = torch.full((4, 8, 8), 2.0), torch.zeros(4, 4, 4)
    draw_energy(tmp_path / 'same.png', image, boxes, [(strong, strong), (nothing, nothing)], ['stride 8', 'stride 16'])
    draw_energy(tmp_path / 'other.png', image, boxes, [(-strong, strong), (nothing, nothing)],
                ['stride 8', 'stride 16'])
    same, other = (cv2.imread(str(tmp_path / name)) for name in ('same.png', 'other.png'))
    assert same.shape == other.shape and same.shape[1] == 960
    lower = slice(3 * same.shape[0] // 4, 7 * same.shape[0] // 8), slice(400, 560)  # inside the first difference
    assert same[lower].mean() < 40 < other[lower].mean()


def scales(figure):
    """Of each bar: its width, that of the map above, and whether it has an arrow."""
    figure.canvas.draw()
    return [(bar._colorbar.outline.get_window_extent().width, panel.get_window_extent().width,
             bar._colorbar.extend == 'max') for panel in figure.axes for bar in panel.child_axes]


def test_scales_are_as_wide_as_their_maps_and_say_where_they_end(tmp_path):
    image, boxes, level = torch.rand(3, 64, 64), torch.tensor([[8.0, 8.0, 40.0, 40.0]]), torch.ones(4, 16, 16)
    level[:, 0, 0] = 9
    with mock.patch('kddet.pictures.energy.save') as save:
        draw_energy(tmp_path / 'x.png', image, boxes, [(torch.ones(4, 16, 16), level), (level * 0, level * 0)],
                    ['stride 4', 'stride 8'])
    figure = save.call_args.args[0]
    found = scales(figure)
    assert [arrow for *_, arrow in found] == [True, False, True, False]
    assert all(own == pytest.approx(map_, abs=2) for own, map_, _ in found)
    assert 'mean over channels of the squares' in figure.get_suptitle()
    pictures = [panel for panel in figure.axes if panel.images and panel.images[0].get_array().ndim == 3]
    assert len(pictures) == 1


def test_encodings_have_scales_and_names(tmp_path):
    maps = [torch.rand(16 // 2**level, 16 // 2**level) for level in range(4)]
    with mock.patch('kddet.pictures.encodings.save') as save:
        truth = InstanceData(bboxes=torch.tensor([[8.0, 8.0, 40.0, 40.0]]), labels=torch.tensor([0]),
                             scores=torch.tensor([0.5]))
        draw_encodings(tmp_path / 'x.png', torch.rand(3, 64, 64), truth, torch.rand(2, 64, 64), maps,
                       [f'stride {4 * 2**level}' for level in range(4)], truth[:0])
    figure = save.call_args.args[0]
    assert len(scales(figure)) == 5 and figure.get_figwidth() < 14
    titles = [panel.get_title() for panel in figure.axes if panel.get_visible() and panel.images]
    assert titles[-1] == 'encoding, stride 32: energy' and 'mean over channels' in figure.get_suptitle()
