import pytest
import torch
from mmengine.registry import MODELS

from kddet import Distiller
from kddet.project.config import load_config
from kddet.recording.probe import ImageTooSmall, probe, probe_sizes
from kddet.testing import tiny_detector, toy_samples, training_step

SSD = 'mmdet::ssd/ssd300_coco.py'


class Backbone(torch.nn.Module):
    """A layer of stride 8 over 60 cells, so that an image has 480 pixels at least."""

    def __init__(self, channels=3):
        super().__init__()
        self.layer = torch.nn.Sequential(torch.nn.MaxPool2d(8), torch.nn.Conv2d(channels, 2, 60))

    def forward(self, images):
        return (self.layer(images),)


def detector(**options):
    model = MODELS.build(dict(tiny_detector('retinanet'), _scope_='mmdet'))
    model.backbone = Backbone(**options)
    return model


def test_a_larger_image_is_taken_where_the_first_is_too_small():
    records = probe(detector(), ['backbone'], 'student')
    assert records.image_size == (512, 512) and records.pyramid('backbone')[0].shape[2:] == (5, 5)
    with pytest.raises(ImageTooSmall, match='cannot be run on an image of 256 x 256 .*too small for its layers'):
        probe(detector(), ['backbone'], 'student', 256)


def test_what_has_another_reason_is_raised_at_once():
    seen = []
    model = detector(channels=4)
    model.backbone.register_forward_pre_hook(lambda module, args: seen.append(args[0].shape[2:]))
    with pytest.raises(ValueError, match='cannot be run on an image of 256 x 256 .*widths may not meet'):
        probe(model, ['backbone'], 'student')
    assert seen == [(256, 256)]


def test_a_detector_that_runs_at_256_pixels_is_probed_there():
    model = MODELS.build(dict(tiny_detector('retinanet'), _scope_='mmdet'))
    records = probe(model, ['neck'], 'student')
    assert records.image_size == (256, 256) and records.strides('neck') == [8, 16, 32, 64, 128]
    assert records.of_taps(['neck']).strides('neck') == [8, 16, 32, 64, 128]
    assert probe_sizes([model]) == [256, 512, 1024]


@pytest.fixture(scope='module')
def ssd():
    """Its step on pictures of 300 pixels: of the student alone, and by the weight of a hint."""
    cfg = load_config(SSD)
    cfg.model.pop('data_preprocessor')
    batch = toy_samples((((8, 8, 140, 156), (150, 30, 210, 90)),), ((300, 300),))

    def step(weight=None):
        plain = dict(cfg.model, _scope_='mmdet', backbone=dict(cfg.model.backbone, init_cfg=None),
                     data_preprocessor=dict(type='DetDataPreprocessor', pad_size_divisor=1))
        model = MODELS.build(plain) if weight is None else Distiller(
            plain, dict(config=dict(model=plain), checkpoint=None),
            dict(hint=dict(type='kddet.HintLearning', adapter=None, loss_weight=weight)))
        torch.manual_seed(3)
        model.init_weights()
        if weight:
            model.teacher.detector.init_weights()  # without it, some weights are whatever the memory holds
        return model, *training_step(model, batch)
    return step


@pytest.mark.slow
def test_ssd300_is_distilled_by_hints(ssd):
    model, log, gradients = ssd(0.5)
    assert model.methods['hint'].pairs == [(level, level) for level in range(6)]
    assert model.methods['hint'].compared[0] == 'neck, strides 8, 32: 512 to 512 channels, as it is'
    assert model.methods['hint'].compared[2] == 'neck, strides 64, 100, 300: 256 to 256 channels, as it is'
    assert log['loss_hint'] > 0 and all(gradient.isfinite().all() for gradient in gradients.values())


@pytest.mark.slow
def test_ssd300_with_a_hint_of_weight_0_is_the_plain_detector(ssd):
    _, plain, gradients = ssd()
    _, log, found = ssd(0.0)
    assert log == plain and found.keys() == gradients.keys()
    assert all(torch.equal(found[name], gradients[name]) for name in found)


@pytest.mark.slow
def test_student_and_teacher_are_probed_at_one_size():
    """Of 300 pixels both have a level of 3 x 3 cells; of 512 they would not."""
    student = load_config(SSD).model
    model = Distiller(dict(tiny_detector('retinanet')), dict(config=dict(model=student), checkpoint=None),
                      dict(hint=dict(type='kddet.HintLearning')))
    assert model.methods['hint'].pairs == [(level, level) for level in range(5)]


@pytest.mark.slow
def test_an_element_that_the_head_does_not_give_is_refused():
    student = 'mmdet::yolo/yolov3_mobilenetv2_8xb24-ms-416-300e_coco.py'
    model = load_config(student).model
    model.backbone.init_cfg = None
    with pytest.raises(ValueError, match='bbox_head of YOLOV3 gives one pyramid; `reg` is not in it'):
        Distiller(model, dict(config=student, checkpoint=None), dict(hint=dict(type='kddet.HintLearning', tap='reg')))
