import pytest
import torch

from kddet.labelenc import label_map, label_maps, maps, present_label_map


def at(boxes, labels=None, size=(8, 8), num_classes=1, **options):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    labels = torch.tensor(labels if labels is not None else [0] * len(boxes), dtype=torch.long)
    return label_map(boxes, labels, num_classes=num_classes, size=size, **options)


def test_one_box():
    found = at([(2, 2, 6, 6)])[0]
    rows = torch.tensor([[.5, .5, .5, .5, .5], [.5, .75, .75, .75, .5], [.5, .75, 1, .75, .5]])
    assert torch.equal(found[2:5, 2:7], rows)
    assert torch.equal(found, found.T) and torch.equal(found[2:7], found[2:7].flip(0))
    assert found.sum() == 15


def test_a_box_that_is_not_square():
    found = at([(1, 1, 6, 4)], size=(6, 8))[0]
    inner = torch.tensor([.5, .7, .833333, .833333, .7, .5])
    for row, expected in ((1, torch.full((6,), .5)), (2, inner), (3, inner), (4, torch.full((6,), .5))):
        torch.testing.assert_close(found[row, 1:7], expected)
    assert found.sum().item() == pytest.approx(14.133333, abs=1e-5)


def test_overlaps():
    boxes = [(0, 0, 4, 4), (2, 2, 6, 6)]
    same = at(boxes, size=(7, 7))[0]
    assert same.sum() == 25.25 and same[3, 3] == .75 and same[2, 2] == 1
    assert at(boxes, [0, 1], size=(7, 7), num_classes=2).sum((1, 2)).tolist() == [15, 15]


def test_boxes_without_an_extent_are_left_out():
    assert at([(2, 2, 2, 6), (2, 5, 6, 5), (6, 6, 2, 2)]).sum() == 0
    both = at([(2, 2, 6, 6), (3, 3, 3, 5)])
    assert both.isfinite().all() and torch.equal(both, at([(2, 2, 6, 6)]))
    for wrong in (float('inf'), float('nan')):
        assert torch.equal(at([(2, 2, 6, 6), (0, 0, wrong, 4), (-wrong, 0, 3, 4)]), at([(2, 2, 6, 6)]))
    assert at([]).shape == (1, 8, 8) and at([]).sum() == 0


def test_intensity():
    boxes, factors = [(0, 0, 4, 4), (2, 2, 6, 6)], torch.tensor([1., 0.4])
    found = at(boxes, size=(7, 7), intensity=factors)[0]
    assert found[2, 2] == 1 and found[6, 6] == pytest.approx(0.2) and found[4, 4] == pytest.approx(0.5)
    assert found[5, 4].item() == pytest.approx(0.3)


@pytest.mark.parametrize('dtype', [torch.uint8, torch.int16, torch.int32])
def test_labels_of_any_integer_type(dtype):
    boxes, labels = torch.tensor([[2., 2., 6., 6.], [0., 0., 4., 4.]]), torch.tensor([2, 0])
    assert torch.equal(label_map(boxes, labels.to(dtype), num_classes=3, size=(8, 8)),
                       label_map(boxes, labels, num_classes=3, size=(8, 8)))


@pytest.mark.parametrize(('labels', 'said'), [([0, -1], 'from -1 to 0'), ([0, 2], 'from 0 to 2')])
def test_labels_that_are_no_class_are_refused(labels, said):
    with pytest.raises(ValueError, match=f'the labels go {said}, and of 2 classes they are 0 to 1'):
        at([(2, 2, 6, 6), (0, 0, 4, 4)], labels, num_classes=2)


def brute_force(boxes, labels, num_classes, size):
    found = torch.zeros(num_classes, *size)
    for (x0, y0, x1, y1), label in zip(boxes.tolist(), labels.tolist()):
        if x1 <= x0 or y1 <= y0:
            continue
        for y in range(size[0]):
            for x in range(size[1]):
                value = 1 - max(abs(x - (x0 + x1) / 2) / (x1 - x0), abs(y - (y0 + y1) / 2) / (y1 - y0))
                if value >= 0.5:
                    found[label, y, x] = max(found[label, y, x].item(), value)
    return found


@pytest.mark.parametrize('chunk', [50, 2**24])
def test_equals_the_definition_pixel_by_pixel(chunk, monkeypatch):
    monkeypatch.setattr(maps, 'CHUNK', chunk)
    corner = torch.rand(9, 2) * 30 - 4
    boxes = torch.cat([corner, corner + torch.rand(9, 2) * 20 - 1], 1)  # some beyond the picture, some degenerate
    labels = torch.randint(4, (9,))
    torch.testing.assert_close(label_map(boxes, labels, num_classes=4, size=(25, 31)),
                               brute_force(boxes, labels, 4, (25, 31)), atol=1e-5, rtol=0)


def test_channels_that_are_present_and_batches():
    boxes, labels = torch.tensor([[2., 2., 6., 6.], [0., 0., 4., 4.], [1., 1., 3., 7.]]), torch.tensor([5, 2, 5])
    found = present_label_map(boxes, labels, size=(8, 8))
    dense = label_map(boxes, labels, num_classes=9, size=(8, 8))
    assert found.classes.tolist() == [2, 5] and torch.equal(found.map, dense[[2, 5]])
    assert dense.sum((1, 2)).nonzero().flatten().tolist() == [2, 5]
    batch = label_maps([boxes, boxes[:0]], [labels, labels[:0]], num_classes=9, size=(8, 8))
    assert batch.shape == (2, 9, 8, 8) and torch.equal(batch[0], dense) and batch[1].sum() == 0
