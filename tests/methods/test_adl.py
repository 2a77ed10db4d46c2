
import pytest
import torch
from mmengine.registry import MODELS

from kddet import AdaptiveDistillation, Distiller, Recorder
from kddet.losses import adaptive_distillation_loss
from kddet.losses.adaptive_distillation import adaptive_weight
from kddet.testing import CONFIGS, tiny_detector, toy_samples
from kddet.testing import training_step as step

FAMILIES = sorted(CONFIGS)
SUFFIXES = {'faster-rcnn': ['_rpn', '_roi'], 'mask-rcnn': ['_rpn', '_roi'],
            'cascade-rcnn': ['_rpn', '_roi_s0', '_roi_s1', '_roi_s2']}


def distiller(family, **options):
    torch.manual_seed(0)
    model = Distiller(tiny_detector(family), dict(config=dict(model=tiny_detector(family, 16)), checkpoint=None),
                      dict(adl=dict(type='kddet.AdaptiveDistillation', **options)))
    model.init_weights()
    return model


@pytest.mark.parametrize('family', FAMILIES)
@pytest.mark.parametrize('form', ['paper', 'code'])
def test_one_step_beside_the_students_own_losses_which_stay_what_they_are(family, form):
    torch.manual_seed(0)
    plain = MODELS.build(dict(tiny_detector(family), _scope_='mmdet'))
    plain.init_weights()
    expected, _ = step(plain)
    log, gradients = step(distiller(family, form=form))
    assert all(torch.equal(value, log[key]) for key, value in expected.items() if key != 'loss')
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    for suffix in SUFFIXES.get(family, ['']):
        assert log[f'loss_adl{suffix}'] > 0
        for part in ('positive', 'negative'):
            assert 0 < log[f'adl_weight_{part}{suffix}'] < 1
    assert log['loss'].item() == pytest.approx(sum(value.item() for key, value in log.items() if 'loss' in key
                                                   and key != 'loss'), rel=1e-5)  # statistics are not added up


@pytest.mark.parametrize('family', FAMILIES)
def test_weight_zero_is_the_plain_detector_bit_for_bit(family):
    torch.manual_seed(0)
    plain = MODELS.build(dict(tiny_detector(family), _scope_='mmdet'))
    plain.init_weights()
    expected, gradients = step(plain)
    log, own = step(distiller(family, loss_weight=0.0))
    assert all(torch.equal(value, log[key]) for key, value in expected.items())
    assert gradients.keys() == own.keys() and all(torch.equal(value, own[key]) for key, value in gradients.items())


def test_value_is_that_of_the_pure_function_on_the_heads_maps():
    """Two pictures of one size, nothing ignored by FCOS: every class of every point."""
    model = distiller('fcos', beta=0.7, gamma=2.0, loss_weight=0.5)
    batch = toy_samples(sizes=((128, 128), (128, 128)))
    data = model.data_preprocessor(batch, True)
    with Recorder(model.student, ['bbox_head']) as student:
        losses = model.loss(data['inputs'], data['data_samples'])
    teacher = model.teacher.record(data['inputs'], data['data_samples'], ['bbox_head'])
    student_scores, teacher_scores = (torch.cat([level.flatten() for level in records.pyramid('bbox_head', 0)])
                                      for records in (student, teacher))
    expected = adaptive_distillation_loss(student_scores, teacher_scores, beta=0.7, gamma=2.0)
    assert losses['loss_adl'].item() == pytest.approx(0.5 * expected.item(), rel=1e-4)
    weights = adaptive_weight(student_scores, teacher_scores, beta=0.7, gamma=2.0)
    assert losses['adl_weight_negative'].item() == pytest.approx(weights.mean().item(), rel=1e-2)


@pytest.mark.parametrize('family', ['retinanet', 'fcos', 'faster-rcnn'])
def test_padding_is_left_out(family):
    """What stands in the padding of a smaller picture does not matter."""
    model = distiller(family, heads=['rpn'] if family == 'faster-rcnn' else None)
    reader, = model.methods['adl'].readers
    data = model.data_preprocessor(toy_samples(sizes=((128, 128), (64, 96)), boxes=(((8, 8, 40, 56),),) * 2), True)
    with Recorder(model.student, reader.student_taps) as records:
        model.student.loss(data['inputs'], data['data_samples'])
    inside = reader.inside(records, data['data_samples'])
    maps = records.pyramid(reader.tap, 0)
    assert len(inside) == sum(level.numel() for level in maps) // reader.head.cls_out_channels
    first = maps[0]
    anchors = first.shape[1] // reader.head.cls_out_channels
    cells = inside[:first[:, 0].numel() * anchors].view(2, *first.shape[2:], anchors)
    stride = 128 // first.shape[2]
    assert cells[0].all() and cells[1, :64 // stride, :96 // stride].all()
    assert not cells[1, 64 // stride:].any() and not cells[1, :, 96 // stride:].any()


@pytest.mark.parametrize('family', ['retinanet', 'fcos'])
def test_what_stands_in_the_padding_does_not_matter(family):
    model = distiller(family)
    reader, = model.methods['adl'].readers
    read, moved, seen = reader.classification, 0.0, []

    def classification(*records):
        rows = read(*records)
        outside = ~reader.inside(records[0], samples).bool()
        for level, mask in zip(rows.levels, rows.by_level(outside)):
            level.student.data += moved * mask
        seen.append(int(outside.sum()))
        return rows
    reader.classification = classification
    data = model.data_preprocessor(toy_samples(sizes=((128, 128), (64, 96)), boxes=(((8, 8, 40, 56),),) * 2), True)
    samples = data['data_samples']
    first = model.loss(data['inputs'], samples)['loss_adl']
    moved = 5.0
    assert torch.equal(model.loss(data['inputs'], samples)['loss_adl'], first) and seen[0] == seen[1] > 0


def test_beta_of_the_code_on_a_softmax_is_one_minus_the_papers():
    """The released settings of the code, beta 0, are the paper's form with beta 1 where there is a softmax."""
    paper, code = (step(distiller('faster-rcnn', heads=['roi'], gamma=2.0, **options))[0]['loss_adl_roi']
                   for options in (dict(beta=1.0), dict(form='code', beta=0.0)))
    assert torch.equal(paper, code) and code > 0


def test_normalizer():
    """The head's own denominator in place of the teacher's soft count."""
    model = distiller('fcos', normalizer='positives')
    reader, = model.methods['adl'].readers
    read, seen = reader.classification, []
    reader.classification = lambda *records: seen.append(read(*records)) or seen[-1]
    data = model.data_preprocessor(toy_samples(sizes=((128, 128), (128, 128))), True)
    loss = model.loss(data['inputs'], data['data_samples'])['loss_adl']
    rows, = seen
    expected = adaptive_distillation_loss(rows.student, rows.teacher, avg_factor=rows.avg_factor)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5) and rows.avg_factor > 1


@pytest.mark.parametrize('family', ['retinanet', 'fcos'])
def test_under_autocast(family):
    model = distiller(family).train()
    data = model.data_preprocessor(toy_samples(), True)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = model.loss(data['inputs'], data['data_samples'])
    assert losses['loss_adl'].dtype == torch.float32 and losses['loss_adl'].isfinite()
    model.parse_losses(losses)[0].backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize('family', ['retinanet', 'faster-rcnn'])
def test_softmax_form_is_refused_for_sigmoids(family):
    with pytest.raises(ValueError, match="form='softmax' is for heads with a softmax, and .* has sigmoids"):
        step(distiller(family, form='softmax'))


def test_ignored_anchors_are_left_out():
    model = distiller('retinanet')
    reader, = model.methods['adl'].readers
    seen = []
    original = reader.classification

    def read(*records):
        rows = original(*records)
        ignored = rows.weights == 0
        for level, mask in zip(rows.levels, rows.by_level(ignored)):
            level.student.data += torch.randn_like(level.student) * mask * len(seen) * 5
        seen.append(int(ignored.sum()))
        return rows
    reader.classification = read
    first, second = step(model)[0]['loss_adl'], step(model)[0]['loss_adl']
    assert seen[0] == seen[1] > 0
    assert first.item() == pytest.approx(second.item(), rel=1e-4)


def test_no_ground_truth():
    for family in ('retinanet', 'fcos', 'faster-rcnn'):
        log, _ = step(distiller(family), toy_samples(boxes=((), ())))
        assert all(value.isfinite().all() for value in log.values())
        assert all(value == 0 for key, value in log.items() if 'weight_positive' in key)


@pytest.mark.parametrize(('options', 'message'), [
    (dict(form='kl'), "form is 'kl', allowed are"),
    (dict(gamma=-1), 'gamma is -1'),
    (dict(form='code', beta=1.5), "the beta of form='code'"),
    (dict(normalizer='anchors'), "normalizer is 'anchors', allowed are"),
    (dict(temperature=0), 'temperature is 0'),
])
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        AdaptiveDistillation(**options)
