import pytest
import torch

from kddet import MODELS
from kddet.losses import hint_loss


def test_values_worked_out_by_hand():
    student, teacher = torch.tensor([[1., 2., 0.]]), torch.tensor([[0., 4., 0.]])
    assert hint_loss(student, teacher).item() == pytest.approx((1 + 4 + 0) / 3)
    assert hint_loss(student, teacher, norm='l1').item() == pytest.approx((1 + 2 + 0) / 3)


@pytest.mark.parametrize('norm', ['l1', 'l2'])
@pytest.mark.parametrize('shape', [(2, 3, 4, 5), (7, 6), (1, 3, 1, 1)])
def test_equal_inputs_give_zero_and_order_does_not_matter(norm, shape):
    a, b = torch.rand(shape), torch.rand(shape)
    assert hint_loss(a, a, norm=norm) == 0
    assert torch.equal(hint_loss(a, b, norm=norm), hint_loss(b, a, norm=norm))


@pytest.mark.parametrize(('norm', 'power'), [('l1', 1), ('l2', 2)])
def test_scaling_both_scales_the_loss(norm, power):
    a, b = torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4)
    assert hint_loss(3 * a, 3 * b, norm=norm).item() == pytest.approx(3**power * hint_loss(a, b, norm=norm).item(),
                                                                    rel=1e-5)


def test_does_not_depend_on_how_many_pixels_there_are():
    a, b = torch.rand(1, 3, 4, 4), torch.rand(1, 3, 4, 4)
    assert hint_loss(a.repeat(1, 1, 2, 2), b.repeat(1, 1, 2, 2)).item() == pytest.approx(hint_loss(a, b).item())


@pytest.mark.parametrize('norm', ['l1', 'l2'])
def test_gradcheck(norm):
    student = torch.randn(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(1, 2, 3, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: hint_loss(s, teacher, norm=norm), student)


def test_no_gradient_to_the_teacher():
    student, teacher = torch.rand(2, 3, requires_grad=True), torch.rand(2, 3, requires_grad=True)
    hint_loss(student, teacher).backward()
    assert student.grad is not None and teacher.grad is None


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_is_compared_in_float32(dtype):
    student, teacher = torch.full((4, 4), 300.0, dtype=dtype), torch.zeros(4, 4, dtype=dtype)
    loss = hint_loss(student, teacher)  # 300 squared overflows float16
    assert loss.dtype == torch.float32 and loss == 90000


def test_empty_gives_a_zero_with_a_gradient():
    student = torch.zeros(0, 8, requires_grad=True)
    loss = hint_loss(student, torch.zeros(0, 8))
    loss.backward()
    assert loss == 0 and student.grad is not None


def test_exceptions():
    with pytest.raises(ValueError, match=r"norm is 'l3', allowed are \['l1', 'l2'\]"):
        hint_loss(torch.rand(2), torch.rand(2), norm='l3')
    with pytest.raises(ValueError, match=r'\(2, 3\).*\(2, 4\)'):
        hint_loss(torch.rand(2, 3), torch.rand(2, 4))
    with pytest.raises(ValueError, match='l3'):
        MODELS.build(dict(type='kddet.HintLoss', norm='l3'))


def test_module_is_the_function():
    a, b = torch.rand(2, 3), torch.rand(2, 3)
    assert torch.equal(MODELS.build(dict(type='kddet.HintLoss', norm='l1'))(a, b), hint_loss(a, b, norm='l1'))
