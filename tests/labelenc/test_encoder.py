import pytest
import torch
from mmengine.logging import MMLogger
from torch import nn
from torch.nn import functional as F

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


def as_specified(weights, maps):
    """The network once more: bottlenecks with their stride on the 3x3 convolution, ReLU but after the stem."""
    def conv(feature, name, **options):
        return F.conv2d(feature, weights[f'{name}.weight'], weights.get(f'{name}.bias'), **options)
    feature = conv(maps, 'stem', stride=2, padding=3)
    for stage, count in enumerate((1, 2, 2, 1)):
        for index in range(count):
            block, stride = f'stages.{stage}.{index}', 1 if index else 2
            inner = F.relu(conv(feature, f'{block}.conv1'))
            inner = conv(F.relu(conv(inner, f'{block}.conv2', stride=stride, padding=1)), f'{block}.conv3')
            feature = F.relu(inner + (feature if index else conv(feature, f'{block}.project', stride=stride)))
        yield feature


def test_is_the_network_of_the_specification():
    encoder = LabelEncoder(5, (16, 32, 64, 128), stem_channels=8)  # with torch's own weights, biases are not 0
    weights, maps = encoder.state_dict(), torch.rand(2, 5, 64, 96)
    for level, expected in zip(encoder(maps), as_specified(weights, maps), strict=True):
        torch.testing.assert_close(level, expected)
        assert level.std() > 0
    assert not any('project.bias' in key for key in weights)
    strides = [block.conv2.stride for stage in encoder.stages for block in stage]
    assert strides == [(2, 2), *2 * [(2, 2), (1, 1)], (2, 2)]


def test_adapter_is_three_convolutions_with_relu_between_them():
    adapter = LabelAdapter(8)
    assert [type(module) for module in adapter] == [nn.Conv2d, nn.ReLU, nn.Conv2d, nn.ReLU, nn.Conv2d]
    assert all(conv.kernel_size == (3, 3) and conv.padding == (1, 1) for conv in list(adapter)[::2])


def test_convolutions_start_as_the_authors_and_the_log_says_how(caplog):
    encoder = LabelEncoder(4, (16, 32, 64, 128), stem_channels=8)
    stem = encoder.stem.weight.clone()
    logger = MMLogger.get_instance('start-of-the-label-encoder', log_level='INFO')  # one without a file to write to
    logger.addHandler(caplog.handler)
    encoder.init_weights()
    logger.removeHandler(caplog.handler)
    assert torch.equal(encoder.stem.weight, stem)
    for block in (block for stage in encoder.stages for block in stage):
        for conv in (conv for conv in block.children() if isinstance(conv, nn.Conv2d)):
            bound = (3 / (conv.in_channels * conv.kernel_size[0] ** 2)) ** 0.5
            assert 0.9 * bound < conv.weight.abs().max() <= bound
            assert conv.bias is None or not conv.bias.any()
    said = [record.getMessage() for record in caplog.records if 'stages.' in record.getMessage()]
    assert said and all('KaimingInit: a=1, mode=fan_in' in line for line in said)


def test_no_more_than_the_output_is_held_without_gradients(monkeypatch):
    """Of the stems of a batch: with gradients all pictures lie beside it until it is put together."""
    encoder, maps = LabelEncoder(10, (16, 32)), [present_label_map(*own, size=(64, 96)) for own in zip(BOXES, LABELS)]
    expected = encoder(maps)
    monkeypatch.setattr(torch, 'cat', None)
    with torch.no_grad():
        found = encoder(maps)
    assert all(torch.equal(own, other) for own, other in zip(found, expected, strict=True))


def test_labels_beyond_its_classes_are_refused():
    with pytest.raises(ValueError, match=r'the labels go from 3 to 7, and of 5 classes they are 0 to 4'):
        LabelEncoder(5, (16, 32))([present_label_map(BOXES[0], LABELS[0], size=(64, 64))])


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
    (dict(stem_channels=0), 'stem_channels 0 and out_channels .* must be greater than 0'),
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


def test_distance_is_that_of_group_norm_of_one_group():
    """Over channels and cells of a picture's level, all levels side by side; small features show the 1e-5."""
    student, encodings = pyramid(0), [0.003 * level for level in pyramid(1)]
    norm = nn.GroupNorm(1, 6, eps=1e-5, affine=False)
    own, other = (torch.cat([norm(level).flatten(2) for level in levels], dim=2) for levels in (student, encodings))
    torch.testing.assert_close(encoding_distance(student, encodings), F.mse_loss(own, other))


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
