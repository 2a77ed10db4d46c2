import pytest
import torch
from torch import nn

from kddet import MODELS, Adapter
from kddet.adapters import build_adapter


@pytest.mark.parametrize('vector', [False, True])
@pytest.mark.parametrize('kernel_size', [1, 3])
def test_shape_is_kept_but_for_the_width(vector, kernel_size):
    feature = torch.rand(2, 4) if vector else torch.rand(2, 4, 5, 7)
    assert Adapter(4, 6, vector=vector, kernel_size=kernel_size)(feature).shape == (2, 6, *feature.shape[2:])


@pytest.mark.parametrize(('vector', 'kernel_size'), [(False, 1), (False, 3), (True, 1)])
def test_identity_init_begins_as_the_identity(vector, kernel_size):
    adapter = Adapter(4, 4, vector=vector, kernel_size=kernel_size, identity_init=True)
    adapter.init_weights()
    feature = torch.randn(2, 4) if vector else torch.randn(2, 4, 5, 7)
    torch.testing.assert_close(adapter(feature), feature)
    other = Adapter(4, 4, vector=vector, kernel_size=kernel_size)
    other.init_weights()
    assert not torch.allclose(other(feature), feature)


def test_identity_init_needs_equal_widths():
    with pytest.raises(ValueError, match='4 channels and the teacher 6'):
        Adapter(4, 6, identity_init=True)


def test_relu_for_features_after_an_activation():
    assert Adapter(4, 4, relu=True)(torch.randn(2, 4, 5, 5)).min() == 0


@MODELS.register_module()
class OwnAdapter(nn.Module):
    def __init__(self, in_channels, out_channels, scale):
        super().__init__()
        self.widths, self.scale = (in_channels, out_channels), scale


def test_ones_own_adapter_gets_the_widths():
    features = torch.rand(1, 4, 2, 2), torch.rand(1, 6, 2, 2)
    adapter = build_adapter(dict(type='kddet.OwnAdapter', scale=3), *features, 'here')
    assert adapter.widths == (4, 6) and adapter.scale == 3


def test_none_compares_as_it_is():
    assert isinstance(build_adapter(None, torch.rand(1, 4), torch.rand(1, 4), 'here'), nn.Identity)


@pytest.mark.parametrize('kernel_size', [1, 3])
@pytest.mark.parametrize('share', [0, 0.2, 1])
def test_some_cells_alone_are_what_the_whole_map_has_there(kernel_size, share):
    """Values and gradients; cells at the border have zeros beside them."""
    adapter = Adapter(4, 6, kernel_size=kernel_size, relu=True).double()
    feature = torch.randn(2, 4, 5, 7, dtype=torch.float64, requires_grad=True)
    mask = torch.rand(2, 5, 7) < share
    some, whole = adapter.at(feature, mask), adapter(feature).permute(0, 2, 3, 1)[mask]
    torch.testing.assert_close(some, whole)
    weights = torch.randn_like(some)
    leaves = [feature, *adapter.parameters()]
    torch.testing.assert_close(torch.autograd.grad((some * weights).sum(), leaves),
                               torch.autograd.grad((whole * weights).sum(), leaves))
