import pytest
import torch

from kddet.labelenc import LabelAdapter, LabelEncoder, encoding_distance, label_maps, present_label_map

BOXES = [torch.tensor([[4., 4., 40., 30.], [30., 20., 90., 60.], [2., 2., 9., 9.]]), torch.zeros(0, 4)]
LABELS = [torch.tensor([7, 3, 7]), torch.zeros(0, dtype=torch.long)]


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_is_the_authors():
    assert parameters(LabelEncoder(80)) == 9_910_272 and parameters(LabelEncoder(20)) == 9_533_952
    assert parameters(LabelAdapter(256)) == 1_770_240
    encoder = LabelEncoder(80)
    assert [tuple(level.shape[1:]) for level in encoder(torch.zeros(1, 80, 64, 96))] == [
        (256, 16, 24), (512, 8, 12), (1024, 4, 6), (2048, 2, 3)]


@pytest.mark.parametrize('size', [(64, 96), (61, 93)])
def test_channels_that_are_present_give_what_the_dense_map_gives(size):
    encoder = LabelEncoder(10, (16, 32, 64, 128), stem_channels=8)
    encoder.init_weights()
    dense = encoder(label_maps(BOXES, LABELS, num_classes=10, size=size))
    sum(level.square().sum() for level in dense).backward()
    expected = {name: parameter.grad.clone() for name, parameter in encoder.named_parameters()}
    encoder.zero_grad()
    present = encoder([present_label_map(*own, size=size) for own in zip(BOXES, LABELS)])
    sum(level.square().sum() for level in present).backward()
    for own, other in zip(dense, present):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-5)
    for name, parameter in encoder.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-3, atol=1e-3)


def test_no_boxes_at_all_still_give_every_parameter_a_gradient():
    encoder = LabelEncoder(10, (16, 32))
    level = encoder([present_label_map(BOXES[1], LABELS[1], size=(64, 64))])[-1]
    level.sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())


@pytest.mark.parametrize('options', [
    dict(out_channels=(16, 32, 64)), dict(num_blocks=(2, 1, 3, 1)), dict(mid_channels=(8, 9, 10, 11), stem_channels=5)])
def test_is_built_again_from_its_weights(options):
    encoder = LabelEncoder(7, **options)
    again = LabelEncoder.like(encoder.state_dict(), encoder.outputs)
    again.load_state_dict(encoder.state_dict())
    maps = torch.rand(1, 7, 64, 64)
    assert all(torch.equal(own, other) for own, other in zip(encoder(maps), again(maps), strict=True))


def test_fewer_outputs_are_the_coarsest():
    assert [level.shape[2] for level in LabelEncoder(3, (16, 32, 64))(torch.zeros(1, 3, 64, 64))] == [8, 4, 2]


@pytest.mark.parametrize(('options', 'message'), [
    (dict(out_channels=(8,) * 5), 'out_channels has 5 stages'),
    (dict(num_blocks=(1, 1)), r'num_blocks \[1, 1\] must be 4 numbers'),
    (dict(out_channels=(2, 2, 2, 2)), r'mid_channels \[0, 0, 0, 0\]'),
])
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        LabelEncoder(3, **options)


def pyramid(seed, dtype=torch.float32):
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(2, 6, side, side, generator=random).to(dtype) for side in (8, 4, 2)]


def test_distance_by_hand():
    """Normalised: (-1, 1) and (1, -1) on one level, equal on the other, of a fourth of the area."""
    student = [torch.tensor([[0., 2], [0, 2]]).view(1, 1, 2, 2), torch.zeros(1, 1, 1, 1)]
    encodings = [torch.tensor([[5., 1], [5, 1]]).view(1, 1, 2, 2), torch.zeros(1, 1, 1, 1)]
    assert encoding_distance(student, encodings).item() == pytest.approx(4 * 4 / 5, rel=1e-4)


def test_distance_knows_neither_scale_nor_shift_of_a_level():
    student, encodings = pyramid(0), pyramid(1)
    value = encoding_distance(student, encodings)
    moved = [level * factor + shift for level, factor, shift in zip(student, (3., 0.5, 20), (1., -4, 0))]
    torch.testing.assert_close(encoding_distance(moved, encodings), value, rtol=1e-4, atol=0)
    torch.testing.assert_close(encoding_distance(student, [7 * level - 2 for level in encodings]), value, rtol=1e-4,
                               atol=0)
    assert encoding_distance(student, student) == 0 < value


def test_distance_takes_images_and_levels_one_by_one():
    """A level weighs as much as its area; an image is normalised alone."""
    student, encodings = pyramid(0), pyramid(1)
    alone = [encoding_distance([a[i:i + 1]], [b[i:i + 1]]) * a[0].numel() for a, b in zip(student, encodings)
             for i in range(2)]
    total = sum(level.numel() for level in student)
    assert encoding_distance(student, encodings).item() == pytest.approx(sum(alone).item() / total, rel=1e-5)


def test_distance_has_a_gradient_to_the_student_alone():
    student = [level.double().requires_grad_() for level in pyramid(0)]
    encodings = [level.double().requires_grad_() for level in pyramid(1)]
    assert torch.autograd.gradcheck(lambda *levels: encoding_distance(levels, [e.detach() for e in encodings]), student)
    encoding_distance(student, encodings).backward()
    assert all(level.grad is None for level in encodings)
    assert encoding_distance(pyramid(0, torch.bfloat16), pyramid(1, torch.bfloat16)).dtype == torch.float32


def test_distance_refuses_other_shapes():
    with pytest.raises(ValueError, match='must agree level by level'):
        encoding_distance(pyramid(0), pyramid(1)[:2])
