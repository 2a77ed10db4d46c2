import copy
import re

import pytest
import torch
from mmdet.models import FPN, ResNet, RetinaNet
from mmengine.logging import MessageHub
from mmengine.registry import MODELS
from torch import nn

from kddet import LabelEncAutoencoder
from kddet.checkpoint import load_weights
from kddet.testing import tiny_detector, toy_samples

FAMILIES = ('retinanet', 'fcos', 'atss', 'faster-rcnn')


def autoencoder(family='retinanet', **options):
    torch.manual_seed(0)
    model = LabelEncAutoencoder(tiny_detector(family), dict(stem_channels=8), **options)
    model.init_weights()
    return model.train()


def losses(model, seed=3, **batch):
    torch.manual_seed(seed)
    data = model.data_preprocessor(toy_samples(**batch), True)
    return model.loss(data['inputs'], data['data_samples'])


def total(values):
    return sum(sum(value) if isinstance(value, list) else value for value in values)


def groups(model):
    """Parameters of the four parts, by what they are for."""
    named = dict(model.named_parameters())
    return dict(
        features={k: v for k, v in named.items() if k.startswith(('student.backbone.', 'student.neck.'))},
        heads={k: v for k, v in named.items() if k.startswith('student.') and '_head.' in k},
        encoder={k: v for k, v in named.items() if k.startswith(('encoder.', 'encoder_neck.'))},
        adapter={k: v for k, v in named.items() if k.startswith('methods.')})


@pytest.mark.parametrize('family', FAMILIES)
def test_who_gets_gradients_from_which_loss(family):
    model = autoencoder(family)
    parts = groups(model)
    assert sum(map(len, parts.values())) == len(dict(model.named_parameters()))
    found = losses(model)
    terms = dict(
        reconstruction=[value for key, value in found.items() if key.startswith('reconstruction_') and 'loss' in key],
        detection=[value for key, value in found.items() if key.startswith('loss_') and key != 'loss_distance'],
        distance=[found['loss_distance']])
    reached = dict(reconstruction={'encoder', 'heads'}, detection={'features', 'heads'},
                   distance={'features', 'adapter'})
    for term, values in terms.items():
        model.zero_grad()
        total(values).backward(retain_graph=True)
        for part, parameters in parts.items():
            touched = {name for name, value in parameters.items() if value.grad is not None}
            assert touched == (set(parameters) if part in reached[term] else set()), (term, part)


@pytest.mark.parametrize('family', FAMILIES)
def test_the_students_own_losses_are_those_of_the_plain_detector(family):
    torch.manual_seed(0)
    plain = MODELS.build(dict(tiny_detector(family), _scope_='mmdet')).train()
    plain.init_weights()
    model = autoencoder(family)
    assert all(torch.equal(value, dict(model.student.named_parameters())[name])
               for name, value in plain.named_parameters())
    expected, found = losses(plain), losses(model)
    assert all(torch.equal(torch.as_tensor(total([value])), torch.as_tensor(total([found[key]])))
               for key, value in expected.items())


def test_the_head_reads_encodings_as_it_reads_features():
    """On the same pyramid both sides have the same loss."""
    model = autoencoder('fcos', dim=0)
    data = model.data_preprocessor(toy_samples(), True)
    reader = model.label_detector()
    maps = model.label_maps(data['data_samples'], data['inputs'].shape[2:])
    encodings = model.encoder_neck(model.encoder(maps))
    expected = model.bbox_head.loss(encodings, data['data_samples'])
    assert all(torch.equal(value, reader.loss(maps, data['data_samples'])[key]) for key, value in expected.items())
    assert model.student.backbone is not reader.backbone is model.encoder and reader.bbox_head is model.bbox_head


def test_a_checkpoint_is_the_plain_detectors_and_loads_again():
    model = autoencoder()
    saved = model.state_dict()
    plain = MODELS.build(dict(tiny_detector('retinanet'), _scope_='mmdet'))
    own = {key: value for key, value in saved.items() if not key.startswith('distiller.')}
    plain.load_state_dict(own)
    rest = {key.split('.')[1] for key in saved if key.startswith('distiller.')}
    assert rest == {'encoder', 'encoder_neck', 'methods'}
    torch.manual_seed(9)
    other = LabelEncAutoencoder(tiny_detector('retinanet'), dict(stem_channels=8))
    other.load_state_dict(saved)
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in saved.items())


def test_a_checkpoint_of_other_classes_is_refused_for_its_shapes_alone():
    saved = LabelEncAutoencoder(tiny_detector('retinanet', num_classes=5), dict(stem_channels=8)).state_dict()
    model = autoencoder()
    with pytest.raises(ValueError, match=r'^x: \d+ of \d+ tensors loaded, 3 of another shape \(of another shape:') as e:
        load_weights(model, saved, name='x', remedy='Take another')
    loaded, wanted = map(int, re.findall(r'\d+', str(e.value))[:2])
    assert loaded == wanted - 3 and 'missing' not in str(e.value) and str(e.value).endswith('. Take another')


def test_a_copy_has_an_encoder_of_its_own():
    """As EMA makes one."""
    model = autoencoder()
    other = copy.deepcopy(model)
    assert other.label_detector().backbone is other.encoder is not model.encoder
    losses(other)


def test_dimming():
    model = autoencoder(dim=0.5)
    data = model.data_preprocessor(toy_samples(), True)
    size = data['inputs'].shape[2:]
    torch.manual_seed(0)
    peaks = torch.cat([own.map.amax((1, 2)) for _ in range(40) for own in model.label_maps(data['data_samples'], size)])
    bright = model.eval().label_maps(data['data_samples'], size)
    full = torch.cat([own.map.amax((1, 2)) for _ in range(40) for own in bright])
    assert (peaks <= full).all() and 0.3 < (peaks == full).float().mean() < 0.7 and peaks.min() < 0.3


def test_dimming_follows_from_seed_and_iteration_in_a_run():
    """So that a run that is resumed goes on as if it had not stopped; torch's own numbers stay the plain detector's."""
    model = autoencoder(dim=1)
    samples = model.data_preprocessor(toy_samples(), True)['data_samples']

    def drawn(seed, iteration):
        torch.manual_seed(seed)
        MessageHub.get_current_instance().update_info('iter', iteration)
        before = torch.get_rng_state()
        maps = model.label_maps(samples, (128, 128))
        assert torch.equal(torch.get_rng_state(), before)
        return torch.cat([own.map.amax((1, 2)) for own in maps])
    first = drawn(3, 7)
    assert torch.equal(drawn(3, 7), first)
    assert not torch.equal(drawn(4, 6), drawn(3, 7)) and len({tuple(drawn(3, step).tolist()) for step in range(9)}) == 9


def test_images_without_boxes():
    found = losses(autoencoder(), boxes=((), ()))
    total(value for key, value in found.items() if 'loss' in key).backward()
    assert all(torch.as_tensor(total([value])).isfinite().all() for value in found.values())


def test_reconstruction_alone():
    """Of the detector the head alone learns, from encodings."""
    model = autoencoder(joint=False)
    found = losses(model)
    assert found and all(key.startswith('reconstruction_') for key in found)
    total(value for key, value in found.items() if 'loss' in key).backward()
    for part, parameters in groups(model).items():
        trained = part in ('heads', 'encoder')
        assert all(value.requires_grad is trained and (value.grad is not None) is trained
                   for value in parameters.values())
    assert not model.methods['distance'].weight  # there is none, and the hook that watches for silent methods knows


def test_without_distance():
    model = autoencoder(distance_weight=0.0)
    found = losses(model)
    assert found['loss_distance'] == 0 and found['reconstruction_loss_cls']
    assert not any(value.requires_grad for value in groups(model)['adapter'].values())  # nor decays


def with_batch_norm(family):
    model = tiny_detector(family)
    model.bbox_head.norm_cfg = dict(type='BN')
    return model


def without_neck():
    model = tiny_detector('retinanet')
    model.neck = None
    model.bbox_head.in_channels = 64
    return model


def batch_norm_in_the_roi_head():
    model = tiny_detector('faster-rcnn')
    model.roi_head.bbox_head.update(type='Shared4Conv1FCBBoxHead', conv_out_channels=8, norm_cfg=dict(type='BN'))
    return model


def other_strides():
    model = tiny_detector('retinanet')
    model.backbone.update(strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2))
    return model


def fewer_outputs():
    model = tiny_detector('retinanet')
    model.backbone.update(out_indices=(0, 1, 2))
    model.neck.update(in_channels=[8, 16, 32], start_level=0)
    return model


class MaskedRetinaNet(RetinaNet):
    """With a head of masks beside the others, as CondInst has one."""

    def __init__(self, **options):
        super().__init__(**options)
        self.mask_head = nn.Sequential(nn.BatchNorm2d(8))


class WithPicture(ResNet):
    """Gives the picture too, as the backbone of DetectoRS."""

    def forward(self, x):
        return (x, *super().forward(x))


class WithoutPicture(FPN):

    def forward(self, inputs):
        return super().forward(inputs[1:])


def with_batch_norm_in_a_mask_head():
    return dict(tiny_detector('retinanet'), type=MaskedRetinaNet)


def with_the_picture_among_its_features():
    model = tiny_detector('retinanet')
    model.backbone.type, model.neck.type = WithPicture, WithoutPicture
    return model


@pytest.mark.parametrize(('options', 'message'), [
    (dict(foo=1), "^the encoder takes no 'foo'; it takes mid_channels, num_blocks, stem_channels$"),
    (dict(num_classes=4), "takes no 'num_classes'; it takes mid_channels"),
    (dict(stem_channels=0), 'stem_channels 0 .* must be greater than 0'),
    (dict(stem_channels='wide'), "stem_channels of the encoder is 'wide', it must be a whole number"),
    (3, r'the encoder is 3, it must be a dict'),
])
def test_settings_of_the_encoder_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        LabelEncAutoencoder(tiny_detector('retinanet'), options)


def test_images_without_labels_are_refused():
    model = autoencoder()
    data = model.data_preprocessor(toy_samples(), True)
    data['data_samples'][1].set_metainfo(dict(use_hard_loss=False))
    with pytest.raises(ValueError, match='LabelEncAutoencoder trains on labels'):
        model.loss(data['inputs'], data['data_samples'])


@pytest.mark.parametrize(('student', 'options', 'message'), [
    (batch_norm_in_the_roi_head(), {}, r'roi_head.*BatchNorm2d: one head over'),
    (other_strides(), {}, r'the neck gives .*, and .* for its labels; LabelEnc needs a backbone'),
    (fewer_outputs(), {}, r'the neck gives .*, and .* for its labels; LabelEnc needs a backbone'),
    (with_batch_norm('fcos'), {}, r'bbox_head.*BatchNorm2d: one head over .* mix their\s+statistics; give .*GN'),
    (without_neck(), {}, 'has no neck'),
    (with_batch_norm_in_a_mask_head(), {}, 'mask_head.0 is a BatchNorm2d: one head over'),
    (with_the_picture_among_its_features(), {}, r'the backbone gives .*\(3, 256, 256\).*; LabelEnc needs .*DetectoRS'),
    (tiny_detector('retinanet'), dict(dim=2), r'^dim is 2, it is a share'),
    (tiny_detector('retinanet'), dict(distance_weight=-1), 'distance_weight is -1'),
])
def test_refuses(student, options, message):
    with pytest.raises(ValueError, match=message):
        LabelEncAutoencoder(student, **options)
