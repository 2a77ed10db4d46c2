import itertools

import pytest
import torch
from mmdet.models.task_modules.prior_generators import AnchorGenerator

import kddet.masks
from kddet.masks import anchor_sides, batch_fine_grained_masks, cells_near, fine_grained_masks

# IoU (H, W, A) of two objects on a level of 2 x 2 cells with 2 anchors
FIRST = torch.tensor([[[.8, .3], [.41, .2]], [[.40, .1], [0, .39]]])
SECOND = torch.tensor([[[0, 0], [.1, .05]], [[.2, .15], [.21, .4]]])
BEST = torch.stack([FIRST, SECOND]).double().amax(-1).flatten(1)


@pytest.mark.parametrize(('factor', 'expected'), [
    (0.5, [[1, 1], [0, 1]]),  # .40 and .20 are not greater than half of .8 and .4
    (0.75, [[1, 0], [0, 1]]),
    (1.0, [[0, 0], [0, 0]]),
    (0.0, [[1, 1], [1, 1]]),
])
def test_numbers_worked_out_by_hand(factor, expected):
    near, = cells_near([BEST.float()], factor, 'global')
    assert near.any(0).view(2, 2).int().tolist() == expected


def test_cells_of_each_object():
    near, = cells_near([BEST.float()], 0.5, 'level')
    assert near.view(2, 2, 2).int().tolist() == [[[1, 1], [0, 0]], [[0, 0], [0, 1]]]


def iou(a, b, pixel=0.0):
    width = min(a[2], b[2]) - max(a[0], b[0]) + pixel
    height = min(a[3], b[3]) - max(a[1], b[1]) + pixel
    if width <= 0 or height <= 0:
        return 0.0
    def area(box):
        return (box[2] - box[0] + pixel) * (box[3] - box[1] + pixel)
    return width * height / (area(a) + area(b) - width * height)


def by_hand(level_anchors, level_sizes, boxes, factor, scope, pixel=0.0):
    """The definition, one box, level, cell and anchor after the other."""
    masks = [torch.zeros(size, dtype=torch.bool) for size in level_sizes]
    for box in boxes.double().tolist():
        overlaps = [[iou(anchor, box, pixel) for anchor in anchors.double().tolist()] for anchors in level_anchors]
        best = max(itertools.chain(*overlaps))
        for level, (height, width) in enumerate(level_sizes):
            top = best if scope == 'global' else max(overlaps[level])
            count = len(overlaps[level]) // (height * width)
            for row, column, anchor in itertools.product(range(height), range(width), range(count)):
                if overlaps[level][(row * width + column) * count + anchor] > factor * top:
                    masks[level][row, column] = True
    return masks


def random_boxes(count, size=100.):
    corner = torch.rand(count, 2) * size - 10  # some reach out of the picture
    return torch.cat([corner, corner + 4 + torch.rand(count, 2) * size / 2], 1)


def random_level(size, count):
    return random_boxes(size[0] * size[1] * count)


def grid_level(size, stride):
    generator = AnchorGenerator(strides=[stride], ratios=[0.5, 1.0, 2.0], octave_base_scale=4, scales_per_octave=2)
    return generator.grid_priors([size], device='cpu')[0]


@pytest.mark.parametrize('legacy', [False, True])
@pytest.mark.parametrize('scope', ['global', 'level'])
@pytest.mark.parametrize('factor', [0.0, 0.3, 0.5, 0.9])
@pytest.mark.parametrize('kind', ['grid', 'random'])
def test_equals_the_definition(kind, factor, scope, legacy):
    sizes = [(6, 5), (3, 3), (1, 1)]
    levels = [grid_level(size, stride) if kind == 'grid' else random_level(size, 3)
              for size, stride in zip(sizes, (16, 32, 100))]
    boxes = random_boxes(5)
    found = fine_grained_masks(levels, sizes, boxes, threshold_factor=factor, scope=scope, legacy=legacy)
    expected = by_hand(levels, sizes, boxes, factor, scope, float(legacy))
    assert any(mask.any() for mask in expected)
    for mask, other in zip(found, expected):
        assert mask.dtype == torch.bool and torch.equal(mask, other)


def test_a_regular_grid_is_taken_apart():
    sides = anchor_sides(grid_level((6, 5), 16), (6, 5))
    assert sides.left.shape == (6, 1, 5) and sides.top.shape == (6, 6, 1)
    assert anchor_sides(random_level((6, 5), 6), (6, 5)).left.shape == (6, 6, 5)


def test_scope():
    """A small object meets the fine level; every level of its own has a best anchor all the same."""
    sizes = [(8, 8), (4, 4)]
    levels = [grid_level((8, 8), 8), grid_level((4, 4), 16)]
    box = torch.tensor([[20., 20., 44., 44.]])
    best, coarse = fine_grained_masks(levels, sizes, box, threshold_factor=0.8)
    assert best.any() and not coarse.any()
    assert all(mask.any() for mask in fine_grained_masks(levels, sizes, box, threshold_factor=0.8, scope='level'))


def test_strict_at_a_factor_of_one():
    levels, sizes = [grid_level((4, 4), 16)], [(4, 4)]
    assert not fine_grained_masks(levels, sizes, random_boxes(3), threshold_factor=1.0)[0].any()


def test_a_factor_of_zero_takes_what_overlaps_at_all():
    anchors = torch.tensor([[0., 0, 8, 8], [8, 0, 16, 8], [16, 0, 24, 8]])
    mask, = fine_grained_masks([anchors], [(1, 3)], torch.tensor([[0., 0, 8.5, 8]]), threshold_factor=0.0)
    assert mask.tolist() == [[True, True, False]]


def test_no_ground_truth_and_boxes_that_touch_no_anchor():
    levels, sizes = [grid_level((4, 4), 16)], [(4, 4)]
    assert not fine_grained_masks(levels, sizes, torch.zeros(0, 4))[0].any()
    assert not fine_grained_masks(levels, sizes, torch.tensor([[900., 900, 950, 950]]))[0].any()
    assert not fine_grained_masks(levels, sizes, torch.tensor([[30., 30, 30, 30]]), threshold_factor=0.5)[0].any()


def test_a_level_of_one_cell():
    mask, = fine_grained_masks([torch.tensor([[0., 0, 64, 64]])], [(1, 1)], torch.tensor([[10., 10, 50, 50]]))
    assert mask.tolist() == [[True]]


def test_a_batch_is_its_images_one_by_one(monkeypatch):
    sizes = [(6, 5), (3, 3)]
    levels = [grid_level(size, stride) for size, stride in zip(sizes, (16, 32))]
    batch = [random_boxes(7), torch.zeros(0, 4), random_boxes(1), random_boxes(40)]
    monkeypatch.setitem(kddet.masks.CHUNK, 'cpu', 500)  # chunks that cross from image to image
    whole = batch_fine_grained_masks(levels, sizes, batch)
    monkeypatch.undo()
    for index, boxes in enumerate(batch):
        for mask, own in zip(whole, fine_grained_masks(levels, sizes, boxes)):
            assert torch.equal(mask[index], own)


@pytest.mark.slow
def test_memory_is_bounded():
    """200,000 anchors and 300 boxes; all overlaps at once would take 240 MB a tensor."""
    code = '''
import resource, sys, torch
from kddet.masks import fine_grained_masks
torch.set_num_threads(1)
def boxes(count):
    corner = torch.rand(count, 2) * 1000
    return torch.cat([corner, corner + 50], 1)
fine_grained_masks([boxes(100)], [(10, 10)], boxes(3))
anchors, truth = boxes(200_000), boxes(300)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
fine_grained_masks([anchors], [(400, 500)], truth)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
'''
    import subprocess
    import sys
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 200


@pytest.mark.parametrize(('options', 'message'), [
    (dict(scope='image'), "scope is 'image', allowed are"),
    (dict(threshold_factor=1.5), 'threshold_factor is 1.5, it must be between 0 and 1'),
    (dict(level_sizes=[(3, 3)]), '16 anchors do not fill a level of 3 x 3 cells'),
])
def test_refuses(options, message):
    arguments = dict(level_anchors=[random_level((4, 4), 1)], level_sizes=[(4, 4)], gt_bboxes=random_boxes(2))
    with pytest.raises(ValueError, match=message):
        fine_grained_masks(**(arguments | options))
