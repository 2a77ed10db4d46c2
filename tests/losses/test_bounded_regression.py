import pytest
import torch

from kddet.losses import teacher_bounded_l2_loss


def boxes(*first):
    """Boxes whose error lies in the first coordinate."""
    return torch.tensor([[value, 0, 0, 0] for value in first], dtype=torch.float32)


@pytest.mark.parametrize(('student', 'teacher', 'margin', 'expected'), [
    (0.5, 0.2, 0.0, 0.25),
    (0.1, 0.3, 0.0, 0.0),
    (0.1, 0.3, 0.1, 0.01),  # 0.01 + 0.1 > 0.09
    (0.3, 0.3, 0.0, 0.0),  # strict
    (-0.3, 0.3, 0.0, 0.0),  # the errors are compared, not the boxes
    (0.3, 0.3, 0.001, 0.09),
    (0.0, 0.0, 0.5, 0.0),  # open gate, no error
])
def test_values_worked_out_by_hand(student, teacher, margin, expected):
    loss = teacher_bounded_l2_loss(boxes(student), boxes(teacher), boxes(0), margin=margin)
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_is_the_error_itself_not_what_exceeds_the_teacher():
    student = torch.tensor([[1., 2., 0., -2.]])
    assert teacher_bounded_l2_loss(student, torch.ones(1, 4), torch.zeros(1, 4)).item() == pytest.approx(9)


def test_mean_over_boxes_open_or_not():
    loss = teacher_bounded_l2_loss(boxes(0.5, 0.1, 2), boxes(0.2, 0.3, 1), boxes(0, 0, 0))
    assert loss.item() == pytest.approx((0.25 + 0 + 4) / 3)


def test_weights_and_denominator():
    loss = teacher_bounded_l2_loss(boxes(0.5, 0.1, 2), boxes(0.2, 0.3, 1), boxes(0, 0, 0),
                                   weight=torch.tensor([2., 1., 0.5]), avg_factor=10)
    assert loss.item() == pytest.approx((0.5 + 0 + 2) / 10)


def test_the_teacher_as_target_is_the_plain_l2():
    student, teacher = torch.randn(5, 4), torch.randn(5, 4)
    loss = teacher_bounded_l2_loss(student, teacher, teacher)
    assert loss.item() == pytest.approx((student - teacher).square().sum(1).mean().item(), rel=1e-6)


def test_gradient_is_that_of_the_error_where_the_gate_is_open_and_none_elsewhere():
    student = boxes(0.5, 0.1).requires_grad_()
    teacher_bounded_l2_loss(student, boxes(0.2, 0.3), boxes(0, 0)).backward()
    assert torch.allclose(student.grad, boxes(0.5, 0))


def test_gradcheck():
    student = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    teacher, target = torch.randn(6, 4).double(), torch.randn(6, 4).double()
    assert torch.autograd.gradcheck(lambda s: teacher_bounded_l2_loss(s, teacher, target, margin=0.3), student)


def test_no_gradient_to_teacher_or_target():
    student, teacher, target = (torch.randn(3, 4, requires_grad=True) for _ in range(3))
    teacher_bounded_l2_loss(student, teacher, target, margin=100).backward()
    assert student.grad is not None and teacher.grad is None and target.grad is None


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype):
    loss = teacher_bounded_l2_loss(torch.full((2, 4), 300., dtype=dtype), torch.zeros(2, 4, dtype=dtype),
                                   torch.zeros(2, 4, dtype=dtype))
    assert loss.dtype == torch.float32 and loss == 4 * 300**2


@pytest.mark.parametrize('options', [{}, dict(weight=torch.zeros(0), avg_factor=3)])
def test_no_positive_gives_a_zero_with_a_gradient(options):
    student = torch.zeros(0, 4, requires_grad=True)
    loss = teacher_bounded_l2_loss(student, torch.zeros(0, 4), torch.zeros(0, 4), **options)
    loss.backward()
    assert loss == 0 and student.grad is not None


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r'\(3, 4\).*\(2, 4\)'):
        teacher_bounded_l2_loss(torch.zeros(3, 4), torch.zeros(2, 4), torch.zeros(3, 4))
