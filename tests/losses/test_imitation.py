import pytest
import torch

from kddet.losses import imitation_loss

TEACHER = torch.tensor([[[[1., 2.], [3., 4.]], [[0., 1.], [0., 1.]]]])
STUDENT = torch.tensor([[[[0., 2.], [1., 1.]], [[1., 1.], [2., 0.]]]])
MASK = torch.tensor([[[True, True], [False, True]]])


def test_numbers_worked_out_by_hand():
    """Channel sums [[2, 0], [8, 10]]: 12 over 2 * 3 cells, 20 over 2 * 4 without a mask."""
    assert imitation_loss([STUDENT], [TEACHER], [MASK]).item() == pytest.approx(2.0)
    assert imitation_loss([STUDENT], [TEACHER], [torch.ones_like(MASK)]).item() == pytest.approx(2.5)


def test_cells_are_pooled_over_levels_and_images():
    student, teacher = torch.cat([STUDENT, STUDENT]), torch.cat([TEACHER, STUDENT])
    mask = torch.cat([MASK, torch.ones_like(MASK)])
    loss = imitation_loss([student, STUDENT], [teacher, TEACHER], [mask, MASK])
    assert loss.item() == pytest.approx((12 + 0 + 12) / (2 * (3 + 4 + 3)))


def test_a_level_without_a_mask_counts_every_cell():
    pairs = [STUDENT, STUDENT], [TEACHER, TEACHER]
    whole = torch.ones_like(MASK)
    assert imitation_loss(*pairs, [MASK, None]).item() == pytest.approx(imitation_loss(*pairs, [MASK, whole]).item())
    assert imitation_loss([STUDENT], [TEACHER], [None]).item() == pytest.approx(2.5)


def test_denominator_can_be_given():
    assert imitation_loss([STUDENT], [TEACHER], [MASK], avg_factor=torch.tensor(6.)).item() == pytest.approx(1.0)


def test_what_is_outside_the_mask_does_not_matter():
    other = STUDENT.clone()
    other[..., 1, 0] = 100
    assert imitation_loss([other], [TEACHER], [MASK]) == imitation_loss([STUDENT], [TEACHER], [MASK])


def test_equal_features_give_zero():
    assert imitation_loss([TEACHER], [TEACHER], [MASK]) == 0


def test_no_cell_gives_a_zero_with_a_gradient():
    student = STUDENT.clone().requires_grad_()
    loss = imitation_loss([student], [TEACHER], [torch.zeros_like(MASK)])
    loss.backward()
    assert loss == 0 and torch.equal(student.grad, torch.zeros_like(student))


def test_one_cell():
    loss = imitation_loss([torch.ones(1, 3, 1, 1)], [torch.zeros(1, 3, 1, 1)], [torch.ones(1, 1, 1, dtype=torch.bool)])
    assert loss.item() == pytest.approx(1.5)


def test_gradcheck():
    student = [torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True),
               torch.randn(2, 3, 2, 2, dtype=torch.float64, requires_grad=True)]
    teacher = [torch.randn_like(level) for level in student]
    masks = [torch.rand(2, 4, 4) > 0.5, torch.rand(2, 2, 2) > 0.5]
    assert torch.autograd.gradcheck(lambda *levels: imitation_loss(levels, teacher, masks), student)


def test_no_gradient_to_the_teacher():
    student, teacher = STUDENT.clone().requires_grad_(), TEACHER.clone().requires_grad_()
    imitation_loss([student], [teacher], [MASK]).backward()
    assert student.grad is not None and teacher.grad is None


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_is_compared_in_float32(dtype):
    student, teacher = torch.full((1, 4, 2, 2), 300., dtype=dtype), torch.zeros(1, 4, 2, 2, dtype=dtype)
    loss = imitation_loss([student], [teacher], [MASK])
    assert loss.dtype == torch.float32 and loss == 4 * 90000 / 2


@pytest.mark.parametrize(('mask', 'message'), [
    ([MASK, MASK], '1 levels of the student, 1 of the teacher and 2 of masks'),
    ([MASK[:, :1]], r'the mask \(1, 1, 2\)'),
])
def test_refuses_what_does_not_fit(mask, message):
    with pytest.raises(ValueError, match=message):
        imitation_loss([STUDENT], [TEACHER], mask)
