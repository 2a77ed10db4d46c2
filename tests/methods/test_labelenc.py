import copy
from contextlib import nullcontext

import pytest
import torch
from mmdet.models import RetinaNet
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from kddet import Distiller, LabelEncAutoencoder
from kddet.project.classes import check_config_classes
from kddet.testing import tiny_detector, toy_samples
from kddet.testing import training_step as step

FAMILIES = ('retinanet', 'fcos', 'atss', 'faster-rcnn')


@pytest.fixture(scope='module')
def step1(tmp_path_factory):
    """Checkpoints of step 1, untrained, one a family."""
    init_default_scope('mmdet')  # before the function fixture that does
    folder = tmp_path_factory.mktemp('step1')
    for family in FAMILIES:
        torch.manual_seed(5)
        model = LabelEncAutoencoder(tiny_detector(family), dict(stem_channels=8))
        model.init_weights()
        torch.save(dict(state_dict=model.state_dict(), meta={}), folder / f'{family}.pth')
    return folder


def distiller(step1, family, student=None, **options):
    torch.manual_seed(0)
    model = Distiller(student or tiny_detector(family), methods=dict(
        labelenc=dict(type='kddet.LabelEnc', step1=str(step1 / f'{family}.pth'), **options)))
    model.init_weights()
    return model


@pytest.mark.parametrize('family', FAMILIES)
def test_one_step(step1, family):
    model = distiller(step1, family)
    frozen = copy.deepcopy(model.methods['labelenc']._frozen.module.state_dict())
    log, gradients = step(model)
    assert log['loss_labelenc'] > 0
    assert all(parameter.grad is not None for parameter in model.methods.parameters())
    assert any(name.startswith('neck.') for name in gradients)
    torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1).step()
    now = model.methods['labelenc']._frozen.module
    assert all(torch.equal(value, frozen[key]) for key, value in now.state_dict().items())
    assert not now.training and not any(parameter.requires_grad for parameter in now.parameters())
    assert not any('encoder' in key for key in model.state_dict())


@pytest.mark.parametrize('family', FAMILIES)
def test_starts_from_step_1(step1, family):
    saved = torch.load(step1 / f'{family}.pth')['state_dict']
    torch.manual_seed(0)
    plain = MODELS.build(dict(tiny_detector(family), _scope_='mmdet'))
    plain.init_weights()
    for key, value in distiller(step1, family).student.state_dict().items():
        part = key.split('.')[0]
        expected = (plain.state_dict()[key] if part == 'backbone' else
                    saved[f'distiller.encoder_neck.{key.removeprefix("neck.")}'] if part == 'neck' else saved[key])
        assert torch.equal(value, expected), key
    fresh = distiller(step1, family, initialise=False).student.state_dict()
    assert all(torch.equal(value, plain.state_dict()[key]) for key, value in fresh.items())


@pytest.mark.parametrize('family', FAMILIES)
def test_weight_zero_is_the_plain_detector_bit_for_bit(step1, family):
    torch.manual_seed(0)
    plain = MODELS.build(dict(tiny_detector(family), _scope_='mmdet'))
    plain.init_weights()
    expected, gradients = step(plain)
    log, own = step(distiller(step1, family, loss_weight=0.0))
    assert all(torch.equal(value, log[key]) for key, value in expected.items())
    assert gradients.keys() == own.keys() and all(torch.equal(value, own[key]) for key, value in gradients.items())


def test_loss_is_the_distance_to_the_encodings_of_step_1(step1):
    """With the identity in place of the adapter, and features that are the encodings, there is none."""
    model = distiller(step1, 'fcos')
    method = model.methods['labelenc']
    method.adapter = torch.nn.Identity()
    data = model.data_preprocessor(toy_samples(), True)
    seen = method.encode(data['data_samples'])

    class Features:
        def pyramid(self, tap):
            return [2 * level + 1 for level in seen]
    assert method(Features(), method.record(data['data_samples']), data['data_samples'])['loss'] < 1e-4
    saved = torch.load(step1 / 'fcos.pth')['state_dict']
    autoencoder = LabelEncAutoencoder(tiny_detector('fcos'), dict(stem_channels=8), dim=0)
    autoencoder.load_state_dict(saved)
    autoencoder.eval()
    maps = autoencoder.label_maps(data['data_samples'], data['inputs'].shape[2:])
    expected = autoencoder.encoder_neck(autoencoder.encoder(maps))
    assert all(torch.equal(own, other) for own, other in zip(seen, expected, strict=True))


def test_labels_are_encoded_before_the_student_runs(step1):
    """What the encoder computes on the way is gone when the student's activations come."""
    model, order = distiller(step1, 'fcos'), []
    model.methods['labelenc']._frozen.module.register_forward_hook(lambda *_: order.append('encoder'))
    model.student.backbone.register_forward_hook(lambda *_: order.append('student'))
    data = model.data_preprocessor(toy_samples(), True)
    model.loss(data['inputs'], data['data_samples'])
    assert order == ['encoder', 'student']


def test_a_copy_starts_by_itself(step1):
    """Its initialisation does not reach into the original."""
    model = Distiller(tiny_detector('fcos'), methods=dict(
        labelenc=dict(type='kddet.LabelEnc', step1=str(step1 / 'fcos.pth'))))
    before = copy.deepcopy(model.student.state_dict())
    other = copy.deepcopy(model)
    other.init_weights()
    assert all(torch.equal(value, before[key]) for key, value in model.student.state_dict().items())
    saved = torch.load(step1 / 'fcos.pth')['state_dict']
    assert torch.equal(other.bbox_head.conv_cls.weight, saved['bbox_head.conv_cls.weight'])


def test_a_missing_file_says_what_to_train(tmp_path):
    with pytest.raises(FileNotFoundError, match='does not exist .*step 1 writes it: train a config'):
        distiller(tmp_path, 'fcos')


def test_moves_with_the_model(step1):
    model = distiller(step1, 'fcos').double()
    assert all(parameter.dtype == torch.float64 for parameter in model.methods['labelenc']._frozen.module.parameters())


def wider():
    model = tiny_detector('retinanet')
    model.bbox_head.feat_channels = 24
    return model


@pytest.mark.parametrize(('student', 'message'), [
    (wider(), r'bbox_head of .*retinanet.pth: 2 of 8 tensors.*: cls_convs.*Train step 1 with'),
    (tiny_detector('retinanet', width=16), "label encoder's neck of .* of another shape"),
    (tiny_detector('retinanet', num_classes=7), 'is made for 3 classes, the student has 7. Train step 1 with'),
    (tiny_detector('retinanet', num_classes=2), 'is made for 3 classes, the student has 2'),
])
@pytest.mark.parametrize('initialise', [True, False])
def test_refuses_a_student_that_step_1_does_not_fit(step1, student, message, initialise):
    if not initialise and student.bbox_head.feat_channels == 24:
        pytest.skip('its heads are its own')
    with pytest.raises(ValueError, match=message):
        distiller(step1, 'retinanet', student, initialise=initialise)


class Masked(RetinaNet):
    """With heads of its own beside the others, as PanopticFPN has one."""

    def __init__(self, **options):
        super().__init__(**options)
        self.mask_head, self.semantic_head = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3)


def test_heads_of_masks_start_from_step_1_too(tmp_path):
    torch.manual_seed(5)
    model = dict(tiny_detector('retinanet'), type=Masked)
    step1 = LabelEncAutoencoder(model, dict(stem_channels=8))
    torch.save(dict(state_dict=step1.state_dict()), tmp_path / 'retinanet.pth')
    student = distiller(tmp_path, 'retinanet', model).student
    for head in ('mask_head', 'semantic_head', 'bbox_head'):
        for own, other in zip(getattr(student, head).parameters(), getattr(step1.student, head).parameters()):
            assert torch.equal(own, other)


@pytest.mark.parametrize('initialise', [True, False])
@pytest.mark.parametrize(('theirs', 'refused'), [
    (('a', 'b', 'c'), False), (('a', 'c', 'b'), True), (('a', 'b', 'd'), True), (None, False)])
def test_step_1_of_other_classes_is_refused_before_anything_is_built(step1, tmp_path, theirs, refused, initialise):
    checkpoint = dict(torch.load(step1 / 'retinanet.pth'), meta=dict(dataset_meta=dict(classes=theirs)))
    torch.save(checkpoint, tmp_path / 'other.pth')
    cfg = Config(dict(
        train_dataloader=dict(dataset=dict(type='CocoDataset', metainfo=dict(classes=('a', 'b', 'c')))),
        model=dict(type='kddet.Distiller', student=tiny_detector('retinanet'), methods=dict(mine=dict(
            type='kddet.LabelEnc', step1=str(tmp_path / 'other.pth'), initialise=initialise)))))
    said = rf'method mine .* student has 3 \(a, b, c\), .* trained on 3 \({", ".join(theirs or ())}\)'
    with pytest.raises(ValueError, match=said) if refused else nullcontext():
        check_config_classes(cfg)


def test_refuses_a_checkpoint_that_is_not_of_step_1(tmp_path):
    detector = MODELS.build(dict(tiny_detector('retinanet'), _scope_='mmdet'))
    torch.save(dict(state_dict=detector.state_dict()), tmp_path / 'retinanet.pth')
    with pytest.raises(ValueError, match='has no label encoder; step 1 writes one'):
        distiller(tmp_path, 'retinanet')
