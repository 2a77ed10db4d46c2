import math

import pytest
import torch
from torch.nn import functional as F

from kddet.losses import weighted_soft_binary_cross_entropy, weighted_soft_cross_entropy
from kddet.losses.chunks import CHUNK

BOTH = [weighted_soft_cross_entropy, weighted_soft_binary_cross_entropy]


def logits(*rows, **options):
    return torch.tensor(rows, **options)


def test_background_is_the_last_column():
    # softmax of the student [.244728, .090031, .665241], the background last, weight 1.5 inside the sum over classes
    loss = weighted_soft_cross_entropy(logits([1., 0., 2.]), logits([2., 0., 1.]))
    assert loss.item() == pytest.approx(1.302784, abs=1e-6)
    plain = weighted_soft_cross_entropy(logits([1., 0., 2.]), logits([2., 0., 1.]), background_weight=1)
    assert plain.item() == pytest.approx(1.252908, abs=1e-6)


def test_mean_over_samples():
    sure = weighted_soft_cross_entropy(logits([1., 0., 2.]), logits([0., 0., 4.]))
    assert sure.item() == pytest.approx(0.657212, abs=1e-6)
    both = weighted_soft_cross_entropy(logits([1., 0., 2.], [1., 0., 2.]), logits([2., 0., 1.], [0., 0., 4.]))
    assert both.item() == pytest.approx(0.979998, abs=1e-6)


def test_mixed_with_the_hard_loss_as_in_the_paper():
    student, teacher = logits([1., 0., 2.]), logits([2., 0., 1.])
    hard = F.cross_entropy(student, torch.tensor([0]))
    soft = weighted_soft_cross_entropy(student, teacher)
    assert hard.item() == pytest.approx(1.407606, abs=1e-6)
    assert (0.5 * hard + 0.5 * soft).item() == pytest.approx(1.355195, abs=1e-6)


def test_binary_form():
    student, teacher = torch.tensor([0.5]), torch.tensor([-1.])
    assert weighted_soft_binary_cross_entropy(student, teacher).item() == pytest.approx(1.195660, abs=1e-6)
    plain = weighted_soft_binary_cross_entropy(student, teacher, background_weight=1)
    assert plain.item() == pytest.approx(0.839606, abs=1e-6)


def test_binary_form_is_the_two_class_softmax():
    foreground, other = torch.randn(5, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    zero = torch.zeros_like(foreground)
    pair = weighted_soft_cross_entropy(torch.stack([foreground, zero], 1), torch.stack([other, zero], 1))
    assert weighted_soft_binary_cross_entropy(foreground, other).item() == pytest.approx(pair.item(), rel=1e-12)


@pytest.mark.parametrize('loss', BOTH)
def test_temperature_divides_both(loss):
    student, teacher = torch.randn(4, 3), torch.randn(4, 3)
    assert loss(student, teacher, temperature=4).item() == pytest.approx(loss(student / 4, teacher / 4).item())


@pytest.mark.parametrize('loss', BOTH)
def test_equal_logits_are_a_stationary_point_without_a_weight(loss):
    student = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    loss(student, student.detach().clone(), background_weight=1).backward()
    assert student.grad.abs().max() < 1e-12


def test_all_background():
    """A sure background of the teacher: w times the plain cross-entropy of the background."""
    student = torch.randn(6, 4)
    loss = weighted_soft_cross_entropy(student, logits(*[[-100., -100., -100., 100.]] * 6))
    assert loss.item() == pytest.approx(1.5 * F.cross_entropy(student, torch.full((6,), 3)).item(), rel=1e-6)


def test_shift_of_all_logits_changes_nothing_in_the_softmax_form():
    student, teacher = torch.randn(4, 3), torch.randn(4, 3)
    assert weighted_soft_cross_entropy(student + 7, teacher - 3).item() == pytest.approx(
        weighted_soft_cross_entropy(student, teacher).item(), rel=1e-5)


def test_sample_weights_and_denominator():
    student, teacher = torch.randn(3, 4), torch.randn(3, 4)
    weight = torch.tensor([1., 0., 2.])
    single = [weighted_soft_cross_entropy(student[i:i + 1], teacher[i:i + 1]).item() for i in range(3)]
    loss = weighted_soft_cross_entropy(student, teacher, weight=weight, avg_factor=7)
    assert loss.item() == pytest.approx((single[0] + 2 * single[2]) / 7, rel=1e-5)
    binary = weighted_soft_binary_cross_entropy(student, teacher, weight=weight[:, None], avg_factor=7)
    parts = [4 * weighted_soft_binary_cross_entropy(student[i], teacher[i]).item() for i in range(3)]
    assert binary.item() == pytest.approx((parts[0] + 2 * parts[2]) / 7, rel=1e-5)


@pytest.mark.parametrize('loss', BOTH)
@pytest.mark.parametrize('shape', [(1, 4), (5, 2)])
def test_gradcheck(loss, shape):
    student, teacher = torch.randn(shape, dtype=torch.float64, requires_grad=True), torch.randn(shape).double()
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher, temperature=2.0), student)


@pytest.mark.parametrize('weighted', [False, True])
def test_binary_form_in_chunks(weighted, monkeypatch):
    """The same value and gradient as written down, whatever the size of a part."""
    monkeypatch.setitem(CHUNK, 'cpu', 8)
    student, teacher = torch.randn(7, 3, dtype=torch.float64, requires_grad=True), torch.randn(7, 3).double()
    weight = torch.rand(7, 1).double() if weighted else None
    loss = weighted_soft_binary_cross_entropy(student, teacher, temperature=2.0, weight=weight)
    own, other = student / 2, (teacher / 2).sigmoid()
    written = -(other * F.logsigmoid(own) + 1.5 * (1 - other) * F.logsigmoid(-own)) * (weight if weighted else 1)
    torch.testing.assert_close(loss, written.mean())
    torch.testing.assert_close(*(torch.autograd.grad(value, student)[0] for value in (loss, written.mean())))


def test_binary_form_keeps_its_gradient_alone():
    """For the backward pass; as autograd would have it there were five tensors of that size."""
    student, kept = torch.randn(50, 4, requires_grad=True), []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor.numel()) or tensor, lambda t: t):
        weighted_soft_binary_cross_entropy(student, torch.randn(50, 4), weight=torch.ones(50, 1), avg_factor=3)
    assert sum(kept) <= student.numel() + 2


@pytest.mark.parametrize('loss', BOTH)
def test_no_gradient_to_the_teacher(loss):
    student, teacher = torch.randn(3, 3, requires_grad=True), torch.randn(3, 3, requires_grad=True)
    loss(student, teacher).backward()
    assert student.grad is not None and teacher.grad is None


@pytest.mark.parametrize('loss', BOTH)
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(loss, dtype):
    student, teacher = torch.randn(8, 5, dtype=dtype), torch.randn(8, 5, dtype=dtype)
    result = loss(student, teacher)
    assert result.dtype == torch.float32
    assert result.item() == pytest.approx(loss(student.float(), teacher.float()).item())


@pytest.mark.parametrize('loss', BOTH)
def test_extreme_logits_stay_finite(loss):
    student = logits([-1e4, 1e4, 0.], [100., 0., -100.]).requires_grad_()
    value = loss(student, logits([1e4, -1e4, 0.], [0., 0., 100.]))
    value.backward()
    assert math.isfinite(value) and student.grad.isfinite().all()


@pytest.mark.parametrize('loss', BOTH)
def test_no_sample_gives_a_zero_with_a_gradient(loss):
    student = torch.zeros(0, 4, requires_grad=True)
    value = loss(student, torch.zeros(0, 4), weight=torch.zeros(0) if loss is BOTH[0] else torch.zeros(0, 1))
    value.backward()
    assert value == 0 and student.grad is not None


@pytest.mark.parametrize('loss', BOTH)
def test_all_samples_left_out_give_zero(loss):
    weight = torch.zeros(3) if loss is BOTH[0] else torch.zeros(3, 1)
    assert loss(torch.randn(3, 4), torch.randn(3, 4), weight=weight, avg_factor=0) == 0


@pytest.mark.parametrize('loss', BOTH)
def test_refuses_what_does_not_fit(loss):
    with pytest.raises(ValueError, match=r'\(3, 4\).*\(3, 5\)'):
        loss(torch.zeros(3, 4), torch.zeros(3, 5))
    with pytest.raises(ValueError, match='temperature is 0'):
        loss(torch.zeros(3, 4), torch.zeros(3, 4), temperature=0)
