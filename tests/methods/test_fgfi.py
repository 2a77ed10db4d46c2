import copy

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.registry import MODELS
from mmengine.structures import InstanceData

from kddet import Distiller, FineGrainedImitation, Recorder
from kddet.losses import imitation_loss
from kddet.masks import fine_grained_masks
from kddet.testing import CONFIGS, tiny_detector, toy_samples
from kddet.testing import training_step as step

FAMILIES = sorted(CONFIGS)


@pytest.fixture(autouse=True)
def _no_runner():
    MessageHub.get_instance('imitation')  # as if no Runner had counted iterations before
    MessageHub.get_current_instance().update_info('iter', 1000)


def distiller(family, teacher_width=16, **options):
    torch.manual_seed(0)
    teacher = dict(config=dict(model=tiny_detector(family, teacher_width)), checkpoint=None,
                   **options.pop('teacher', {}))
    model = Distiller(tiny_detector(family), teacher, dict(fgfi=dict(type='kddet.FineGrainedImitation', **options)))
    model.init_weights()
    return model


def masks_of(model, batch):
    """Masks of the neck's levels for a batch, and the data samples."""
    data = model.data_preprocessor(copy.deepcopy(batch), True)
    with torch.no_grad():
        maps = model.student.extract_feat(data['inputs'])
    method = model.methods['fgfi']
    return method.masks([maps[s] for s, _ in method.pairs], data['data_samples'])


@pytest.mark.parametrize('family', FAMILIES)
def test_one_step_reaches_the_students_features_and_the_adapters_alone(family):
    model = distiller(family)
    log, _ = step(model)
    assert log['loss_fgfi'] > 0 and log['fgfi_cells'] > 1
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.methods.parameters())
    assert sum(p.grad.abs().sum() for p in model.methods.parameters()) > 0
    assert all(adapter.project.kernel_size == (3, 3) and not adapter.relu for adapter in model.methods['fgfi'].adapters)


@pytest.mark.parametrize('family', FAMILIES)
def test_weight_zero_is_the_plain_detector_bit_for_bit(family):
    torch.manual_seed(0)
    plain = MODELS.build(dict(tiny_detector(family), _scope_='mmdet'))
    plain.init_weights()
    expected, gradients = step(plain)
    log, own = step(distiller(family, loss_weight=0.0))
    assert all(torch.equal(value, log[key]) for key, value in expected.items())
    assert gradients.keys() == own.keys() and all(torch.equal(value, own[key]) for key, value in gradients.items())


@pytest.mark.parametrize('family', ['retinanet', 'faster-rcnn'])
def test_value_is_that_of_the_pure_functions_on_the_heads_own_anchors(family):
    model = distiller(family, threshold_factor=0.4, scope='level', loss_weight=0.5)
    data = model.data_preprocessor(copy.deepcopy(toy_samples()), True)
    with Recorder(model.student, ['neck']) as student:
        losses = model.loss(data['inputs'], data['data_samples'])
    teacher = model.teacher.record(data['inputs'], data['data_samples'], ['neck'])
    maps = student.pyramid('neck')
    generator = getattr(model.student, 'rpn_head' if family == 'faster-rcnn' else 'bbox_head').prior_generator
    sizes = [tuple(level.shape[2:]) for level in maps]
    anchors = generator.grid_priors(sizes, device='cpu')
    per_image = [fine_grained_masks(anchors, sizes, sample.gt_instances.bboxes, threshold_factor=0.4, scope='level')
                 for sample in data['data_samples']]
    masks = [torch.stack(level) for level in zip(*per_image)]
    adapted = [adapter(level) for adapter, level in zip(model.methods['fgfi'].adapters, maps)]
    expected = imitation_loss(adapted, teacher.pyramid('neck'), masks)
    assert losses['loss_fgfi'].item() == pytest.approx(0.5 * expected.item(), rel=1e-5)
    assert losses['fgfi_cells'].item() == sum(mask.sum() for mask in masks) / 2


def test_heads_of_points_get_the_square_that_gfl_and_atss_have():
    found = [masks_of(distiller(family), toy_samples()) for family in ('fcos', 'gfl', 'atss')]
    for level in range(5):
        assert torch.equal(found[1][level], found[2][level])
    assert sum(mask.sum() for mask in found[0]) > 0
    # FCOS's points lie in the middle of their cells, the anchors of the others at the corner: half a stride apart
    moved = copy.deepcopy(toy_samples())
    for sample in moved['data_samples']:
        sample.gt_instances.bboxes[:] += 4
    fcos, gfl = masks_of(distiller('fcos', levels=[0]), moved), masks_of(distiller('gfl', levels=[0]), toy_samples())
    assert torch.equal(fcos[0], gfl[0])
    small, large = (sum(mask.sum() for mask in masks_of(distiller('fcos', anchor_scale=scale), toy_samples()))
                    for scale in (4, 8))
    assert small != large


@pytest.mark.parametrize('family', ['retinanet', 'fcos', 'faster-rcnn'])
def test_images_smaller_than_the_batch(family):
    """A box is where it is in network-input pixels, however much padding its picture gets."""
    box = (24., 16., 56., 48.)
    alone = toy_samples(boxes=((box,),), sizes=((64, 96),))
    padded = toy_samples(boxes=(((8., 8., 120., 120.),), (box,)), sizes=((128, 160), (64, 96)))
    model = distiller(family)
    own, both = masks_of(model, alone), masks_of(model, padded)
    seen = 0
    for small, large in zip(own, both):
        stride = 128 // large.shape[1]
        height, width = small.shape[1:]
        assert torch.equal(large[1, :height, :width], small[0])
        rows, columns = large[1].nonzero().t()
        for start, end, cells in ((16, 48, rows), (24, 56, columns)):
            assert ((cells + 1) * stride >= start - 8 * stride).all() and (cells * stride <= end + 8 * stride).all()
        if len(rows):
            assert abs((rows.float().mean() + 0.5) * stride - 32) <= stride
            assert abs((columns.float().mean() + 0.5) * stride - 40) <= stride
        seen += len(rows)
    assert seen


def test_ignored_and_crowd_boxes_do_not_count():
    model = distiller('retinanet')
    batch = toy_samples(boxes=((), ((20, 20, 70, 60),)))
    batch['data_samples'][0].ignored_instances = InstanceData(bboxes=torch.tensor([[8., 8., 60., 60.]]),
                                                              labels=torch.zeros(1, dtype=torch.long))
    masks = masks_of(model, batch)
    assert not any(mask[0].any() for mask in masks) and any(mask[1].any() for mask in masks)


def test_no_ground_truth():
    log, gradients = step(distiller('retinanet'), toy_samples(boxes=((), ())))
    assert log['loss_fgfi'] == 0 and log['fgfi_cells'] == 0
    assert all(gradient.isfinite().all() for gradient in gradients.values())


def test_warm_up_follows_the_runners_iterations():
    model = distiller('retinanet', warmup=200)
    hub = MessageHub.get_current_instance()
    terms = []
    for iteration in (0, 50, 200, 1000):
        hub.update_info('iter', iteration)
        terms.append(step(model)[0]['loss_fgfi'].item())
    assert terms[0] == 0 and terms[1] == pytest.approx(terms[2] / 4, rel=1e-3) and terms[2] == pytest.approx(terms[3])


def test_features_elsewhere_than_in_the_neck():
    model = distiller('retinanet', tap='backbone', levels=[1, 2, 3])
    assert model.methods['fgfi'].prior_levels == [0, 1, 2]
    assert step(model)[0]['loss_fgfi'] > 0
    with pytest.raises(ValueError, match='stride of 4 pixels, the anchors of the head have 8, 16, 32, 64, 128'):
        distiller('retinanet', tap='backbone')


def test_a_larger_input_of_the_teacher():
    model = distiller('retinanet', teacher=dict(input_scale=2.0))
    assert model.methods['fgfi'].pairs == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert step(model)[0]['loss_fgfi'] > 0


def test_without_adapter_and_with_the_authors_one():
    assert step(distiller('retinanet', teacher_width=8, adapter=None))[0]['loss_fgfi'] > 0
    model = distiller('retinanet', adapter=dict(kernel_size=3, relu=True), legacy=True)
    assert step(model)[0]['loss_fgfi'] > 0 and all(adapter.relu for adapter in model.methods['fgfi'].adapters)


def test_boxes_of_mmdets_box_types():
    student = tiny_detector('retinanet')
    student.bbox_head.anchor_generator.use_box_type = True
    plain, typed = distiller('retinanet'), FineGrainedImitation()
    typed.bind(MODELS.build(dict(student, _scope_='mmdet')), None)
    for level, size in enumerate([(8, 6), (4, 3)]):
        assert torch.equal(typed.priors.anchors(level, size, 'cpu'),
                           plain.methods['fgfi'].priors.anchors(level, size, 'cpu'))


def test_a_detector_without_anchors_is_refused():
    from torch import nn
    with pytest.raises(ValueError, match='has neither rpn_head nor bbox_head'):
        FineGrainedImitation().bind(nn.Identity(), nn.Identity())


@pytest.mark.parametrize(('options', 'message'), [
    (dict(scope='all'), "scope is 'all', allowed are"),
    (dict(threshold_factor=-0.1), 'threshold_factor is -0.1'),
    (dict(warmup=-1), 'warmup is -1'),
])
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        FineGrainedImitation(**options)
