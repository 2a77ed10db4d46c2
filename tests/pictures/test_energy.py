import cv2
import torch

from kddet.pictures import draw_energy


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
