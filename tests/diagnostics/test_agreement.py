import math

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from kddet.diagnostics.agreement import agreement, buffers_kept, gradients


def parameter(*values):
    return nn.Parameter(torch.tensor(values, dtype=torch.float32))


def test_norms_and_angle_worked_out_by_hand():
    a, b, c = parameter(0.0, 0.0), parameter(0.0), parameter(1.0)
    own = gradients(a @ torch.tensor([3.0, 0.0]) + 4 * b.sum(), [a, b, c])
    other = gradients(a @ torch.tensor([1.0, 1.0]) + 7 * c.sum(), [a, b, c])
    assert set(own) == {a, b} and set(other) == {a, c}
    found = agreement(own, other)  # (3, 0) beside (1, 1): what only one of the two reaches does not count
    assert found.ratio == pytest.approx(3 / math.sqrt(2)) and found.cosine == pytest.approx(math.sqrt(0.5))
    assert found.shared == 1


@pytest.mark.parametrize('factor', [2.0, -0.25])
def test_a_multiple_points_the_same_way_or_the_other(factor):
    a = parameter(0.3, -2.0)
    found = agreement(gradients(factor * a.pow(3).sum(), [a]), gradients(a.pow(3).sum(), [a]))
    assert found.ratio == pytest.approx(abs(factor)) and found.cosine == pytest.approx(math.copysign(1, factor))


def test_nothing_in_common_and_zero_gradients_are_no_numbers():
    a, b = parameter(1.0), parameter(1.0)
    found = agreement(gradients(a.sum(), [a, b]), gradients(b.sum(), [a, b]))
    assert found.shared == 0 and math.isnan(found.ratio) and math.isnan(found.cosine)
    zero = agreement(gradients(0 * a.sum(), [a]), gradients(a.sum(), [a]))
    assert zero.ratio == 0 and math.isnan(zero.cosine)
    assert math.isnan(agreement(gradients(a.sum(), [a]), gradients(0 * a.sum(), [a])).ratio)


def test_the_graph_and_the_gradients_stay_as_they_are():
    a = parameter(2.0)
    loss = a.pow(2).sum()
    loss.backward(retain_graph=True)
    gradients(loss, [a])
    assert a.grad.item() == 4
    loss.backward()
    assert a.grad.item() == 8


def test_a_scale_saves_small_gradients_of_half_precision():
    a = parameter(1.0)
    loss = (a.half() * 1e-4).half().float() * 1e-5
    assert gradients(loss.sum(), [a])[a].item() == 0
    assert gradients(loss.sum(), [a], scale=2.0**16)[a].item() == pytest.approx(1e-9, rel=1e-2)


def test_statistics_of_recomputed_layers_are_kept():
    layer, image = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)), torch.rand(2, 1, 4, 4)
    loss = checkpoint(layer, image, use_reentrant=False).square().sum()
    before = {name: value.clone() for name, value in layer.named_buffers()}
    gradients(loss, list(layer.parameters()))
    assert not torch.equal(before['1.running_mean'], layer[1].running_mean)
    layer.load_state_dict(before, strict=False)
    loss = checkpoint(layer, image, use_reentrant=False).square().sum()
    before = {name: value.clone() for name, value in layer.named_buffers()}
    with buffers_kept(layer):
        gradients(loss, list(layer.parameters()))
    assert all(torch.equal(before[name], value) for name, value in layer.named_buffers())
    loss.backward()
