import math

import pytest
import torch

from kddet.losses.adaptive_distillation import (
    adaptive_distillation_loss,
    adaptive_normalizer,
    adaptive_sums,
    adaptive_weight,
)
from kddet.losses.chunks import CHUNK

FORMS = ('paper', 'code', 'softmax')


def logits(*probabilities):
    return torch.logit(torch.tensor(probabilities, dtype=torch.float64))


# teacher's and student's score
Q, P = (.9, .01, .01, .5), (.6, .02, .9, .5)


def each(**options):
    return [adaptive_distillation_loss(logits(p), logits(q), avg_factor=1, **options).item() for q, p in zip(Q, P)]


def test_divergence():
    assert each(gamma=0) == pytest.approx([.226289, .003119, 2.224611, 0], abs=1e-6)


@pytest.mark.parametrize(('options', 'expected'), [
    (dict(beta=1.5, gamma=1), [.115470, .000260, 2.003487, 0]),
    (dict(beta=1.5, gamma=2), [.058922, .000022, 1.804343, 0]),
    (dict(beta=0, gamma=2), [.009280, .000000, 1.769609, 0]),
])
def test_paper(options, expected):
    assert each(**options) == pytest.approx(expected, abs=1e-6)
    total = adaptive_distillation_loss(logits(*P), logits(*Q), avg_factor=1, **options)
    assert total.item() == pytest.approx(sum(expected), abs=2e-6)


def test_weight_of_the_paper():
    assert adaptive_weight(logits(*P), logits(*Q)).tolist() == pytest.approx([.510276, .083434, .900601, .646447],
                                                                             abs=1e-6)


def code_by_hand(q, p, beta, gamma, alpha):
    cross_entropy = -(q * math.log(p) + (1 - q) * math.log(1 - p))
    entropy = -(q * math.log(q) + (1 - q) * math.log(1 - q))
    weight = 1 - math.exp(-(cross_entropy - beta * entropy))
    return weight**gamma * (-alpha * q * math.log(p) - (1 - alpha) * (1 - q) * math.log(1 - p))


@pytest.mark.parametrize(('beta', 'gamma', 'alpha'), [(0.0, 2.0, 0.5), (0.3, 1.0, 0.25), (1.0, 2.0, 0.7)])
def test_code(beta, gamma, alpha):
    expected = [code_by_hand(q, p, beta, gamma, alpha) for q, p in zip(Q, P)]
    assert each(form='code', beta=beta, gamma=gamma, alpha=alpha) == pytest.approx(expected, rel=1e-6)


def test_beta_of_the_code_is_one_minus_that_of_the_paper():
    """The weights are equal; what is weighted is not."""
    for beta in (0.0, 0.4, 1.0):
        assert torch.allclose(adaptive_weight(logits(*P), logits(*Q), beta=beta),
                              adaptive_weight(logits(*P), logits(*Q), beta=1 - beta, gamma=1.0, form='code'))


def test_temperature_of_the_code_multiplies_alone():
    plain, hot = (each(form='code', temperature=t) for t in (1.0, 3.0))
    assert hot == pytest.approx([9 * value for value in plain])
    student, teacher = torch.randn(8).double(), torch.randn(8).double()
    hot = adaptive_distillation_loss(student, teacher, temperature=3, avg_factor=1)
    assert hot.item() == pytest.approx(9 * adaptive_distillation_loss(student / 3, teacher / 3, avg_factor=1).item())


def test_two_classes_of_the_softmax_form_are_a_sigmoid():
    student, teacher = torch.randn(6).double(), torch.randn(6).double()
    pair = [torch.stack([value, torch.zeros_like(value)], 1) for value in (student, teacher)]
    assert adaptive_distillation_loss(*pair, form='softmax', avg_factor=1).item() == pytest.approx(
        adaptive_distillation_loss(student, teacher, avg_factor=1).item(), rel=1e-10)


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('detach', [False, True])
def test_gradient_is_that_of_the_plain_formula(form, detach):
    student = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(5, 4, dtype=torch.float64)
    beta, gamma, alpha = (0.2 if form == 'code' else 1.5), 1.7, 0.3
    adaptive_distillation_loss(student, teacher, beta=beta, gamma=gamma, alpha=alpha, form=form, avg_factor=1,
                               detach_weight=detach).backward()
    other = student.detach().clone().requires_grad_()
    if form == 'softmax':
        p, q = other.softmax(1), teacher.softmax(1)
        term = (q * (q / p).log()).sum(1)
        hardness = term - beta * (q * q.log()).sum(1)
    else:
        p, q = other.sigmoid(), teacher.sigmoid()
        entropy = -(q * q.log() + (1 - q) * (1 - q).log())
        cross_entropy = -(q * p.log() + (1 - q) * (1 - p).log())
        term, hardness = cross_entropy - entropy, cross_entropy - entropy + beta * entropy
        if form == 'code':
            hardness = cross_entropy - beta * entropy
            term = -alpha * q * p.log() - (1 - alpha) * (1 - q) * (1 - p).log()
    factor = (1 - (-hardness).exp())**gamma
    ((factor.detach() if detach else factor) * term).sum().backward()
    torch.testing.assert_close(student.grad, other.grad, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize(('form', 'beta'), [
    ('paper', 0.4), ('paper', 1.5), ('code', 0.4), ('code', 1.0), ('code', -0.5)])
@pytest.mark.parametrize('gamma', [0.0, 0.5, 1.0, 1.7, 2.0])
@pytest.mark.parametrize('shape', [(7,), (9, 4), (2, 3, 4, 5)])
@pytest.mark.parametrize('weighted', [True, False])
def test_gradcheck_in_chunks(form, beta, gamma, shape, weighted, monkeypatch):
    monkeypatch.setitem(CHUNK, 'cpu', 16)
    student = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    teacher, weight = torch.randn(shape, dtype=torch.float64), (torch.rand(shape[:1]) > 0.3).double()
    weight = weight.view(-1, *[1] * (len(shape) - 1))
    assert torch.autograd.gradcheck(lambda logits: adaptive_distillation_loss(
        logits, teacher, form=form, gamma=gamma, weight=weight if weighted else None, beta=beta, temperature=1.5,
        avg_factor=3), student)


def test_each_form_has_its_own_defaults():
    student, teacher = torch.randn(8), torch.randn(8)
    for form, beta, gamma in (('paper', 1.5, 1.0), ('code', 0.0, 2.0)):
        given = adaptive_distillation_loss(student, teacher, form=form, beta=beta, gamma=gamma)
        assert torch.equal(adaptive_distillation_loss(student, teacher, form=form), given)


@pytest.mark.parametrize('form', ['paper', 'code'])
def test_small_gradients_survive_float16(form):
    """Easy negatives, with a loss that is scaled as AMP scales it."""
    teacher, student = torch.randn(2000) * 2 - 7, torch.randn(2000) * 2 - 7
    found = []
    for dtype in (torch.float32, torch.float16):
        own = student.half().to(dtype).requires_grad_()
        (adaptive_distillation_loss(own, teacher.half().to(dtype), form=form, avg_factor=100.) * 65536).backward()
        found.append(own.grad.float())
    lost = (found[1] == 0) & (found[0].abs() > 6e-8)
    assert not lost.any()
    torch.testing.assert_close(found[1], found[0], rtol=2e-3, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize('form', ['paper', 'code'])
def test_at_the_size_of_coco(form):
    """201,600 anchors of 80 classes, against the plain formula, element by element in float64."""
    rows, weight = 201_600, torch.rand(201_600, 1).gt(0.1).float()
    student, teacher = (torch.randn(rows, 80) * 2 - 5 for _ in range(2))
    student.requires_grad_()
    sums = adaptive_sums(student, teacher, form=form, beta=0.5, gamma=2.0, weight=weight)
    sums.loss.backward()
    expected = dict(loss=0.0, normalizer=0.0, weight=0.0)
    for part in range(0, rows, 20_160):
        own, other, kept = (t[part:part + 20_160].detach().double() for t in (student, teacher, weight))
        own.requires_grad_()
        p, q = own.sigmoid(), other.sigmoid()
        entropy = -(q * q.log() + (1 - q) * (1 - q).log())
        cross_entropy = -(q * p.log() + (1 - q) * (1 - p).log())
        if form == 'code':
            hardness, term = cross_entropy - 0.5 * entropy, 0.5 * cross_entropy
        else:
            hardness, term = cross_entropy - 0.5 * entropy, cross_entropy - entropy
        factor = (1 - (-hardness).exp())**2
        loss = (factor * term * kept).sum()
        loss.backward()
        torch.testing.assert_close(student.grad[part:part + 20_160], own.grad.float(), rtol=2e-3, atol=1e-7)
        expected['loss'] += loss.item()
        expected['normalizer'] += (q.pow(1.8) * kept).sum().item()
        expected['weight'] += (factor * kept).sum().item()
    assert {key: value.item() for key, value in sums._asdict().items()} == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('gamma', [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_extremes_stay_finite(form, gamma, dtype):
    values = torch.tensor([-1e4, -100., -20., 0., 20., 100., 1e4]).to(dtype)
    student, teacher = (grid.reshape(-1) for grid in torch.meshgrid(values, values, indexing='ij'))
    student, teacher = (torch.stack([value, -value], 1) for value in (student, teacher))
    student = student.clone().requires_grad_()
    loss = adaptive_distillation_loss(student, teacher, gamma=gamma, form=form, beta=0.5)
    loss.backward()
    assert loss.dtype == torch.float32 and loss.isfinite() and student.grad.isfinite().all()


def test_stable_next_to_certainty():
    def at(z, q):
        teacher = torch.tensor([1e4 if q == 1 else math.log(q / (1 - q))])
        return adaptive_distillation_loss(torch.tensor([float(z)]), teacher, gamma=0, avg_factor=1).item()
    assert at(100, 1) == pytest.approx(0, abs=1e-30)
    assert at(50, 0.3) == pytest.approx(34.389136, rel=1e-6)


@pytest.mark.parametrize('form', ['paper', 'softmax'])
def test_equal_scores_give_zero_and_no_gradient(form):
    student = torch.randn(4, 3, requires_grad=True)
    loss = adaptive_distillation_loss(student, student.detach().clone(), form=form)
    loss.backward()
    assert loss.abs() < 1e-6 and student.grad.abs().max() < 1e-6


def test_normalizer():
    assert adaptive_normalizer(logits(.5, .9)).item() == pytest.approx(.5**1.8 + .9**1.8)
    assert adaptive_normalizer(logits(.5, .9), weight=torch.tensor([0., 1.])).item() == pytest.approx(.9**1.8)
    student, teacher = torch.randn(50, 3), torch.randn(50, 3) + 1
    total = adaptive_distillation_loss(student, teacher, avg_factor=1)
    assert adaptive_distillation_loss(student, teacher).item() == pytest.approx(
        (total / adaptive_normalizer(teacher)).item(), rel=1e-4)
    few = adaptive_distillation_loss(student[:1], teacher[:1] - 9)
    assert few.item() == pytest.approx(adaptive_distillation_loss(student[:1], teacher[:1] - 9, avg_factor=1).item())
    rows = torch.tensor([[0., 0., 0.], [0., 0., 1e4]])  # the second is all background
    assert adaptive_normalizer(rows, form='softmax').item() == pytest.approx(2 * (1 / 3)**1.8, rel=1e-5)


def test_weights_leave_out():
    student, teacher, weight = torch.randn(6, 3), torch.randn(6, 3), torch.tensor([1., 0, 1, 1, 0, 0])
    kept = weight > 0
    assert adaptive_distillation_loss(student, teacher, weight=weight[:, None]).item() == pytest.approx(
        adaptive_distillation_loss(student[kept], teacher[kept]).item(), rel=1e-5)


def test_no_gradient_to_the_teacher():
    student, teacher = torch.randn(3, requires_grad=True), torch.randn(3, requires_grad=True)
    adaptive_distillation_loss(student, teacher).backward()
    assert student.grad is not None and teacher.grad is None


@pytest.mark.parametrize('form', FORMS)
def test_nothing_gives_a_zero_with_a_gradient(form):
    student = torch.zeros(0, 3, requires_grad=True)
    loss = adaptive_distillation_loss(student, torch.zeros(0, 3), form=form)
    loss.backward()
    assert loss == 0 and student.grad is not None


@pytest.mark.parametrize(('options', 'message'), [
    (dict(form='focal'), "form is 'focal', allowed are"),
    (dict(gamma=-1), 'gamma is -1'),
    (dict(temperature=0), 'temperature is 0'),
    (dict(form='code', beta=1.5), "beta 1.5; .* of form='code', which is 1 minus the paper's"),
])
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        adaptive_distillation_loss(torch.zeros(3), torch.zeros(3), **options)
