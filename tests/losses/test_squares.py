import pytest
import torch

from kddet.losses.chunks import CHUNK
from kddet.losses.squares import sum_of_squares


@pytest.mark.parametrize('shape', [(), (1,), (7, 5), (2, 3, 4, 5), (0, 3)])
def test_value_and_gradient_in_chunks(shape, monkeypatch):
    monkeypatch.setitem(CHUNK, 'cpu', 16)
    difference = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(sum_of_squares(difference), difference.square().sum())
    assert torch.autograd.gradcheck(sum_of_squares, difference)


def test_many_elements_are_added_up_as_precisely_as_torch_does():
    """A dot product in float32 is off by 1e-4 here."""
    difference = torch.randn(2**22)
    assert sum_of_squares(difference).item() == pytest.approx(difference.double().square().sum().item(), rel=1e-6)


def test_nothing_else_is_kept_for_the_backward_pass():
    difference, saved = torch.randn(64, requires_grad=True) * 1, []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda tensor: tensor):
        sum_of_squares(difference)
    assert [tensor.data_ptr() for tensor in saved] == [difference.data_ptr()]
