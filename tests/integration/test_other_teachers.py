"""Teachers that differ from their students: in family, neck, levels, input and classes."""
import copy
import functools
import random

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import MessageHub
from mmengine.registry import MODELS

from kddet import Distiller
from kddet.project.classes import config_classes, resolve_class_map
from kddet.project.config import load_config
from kddet.project.overlay import distillation_config
from kddet.testing import tiny_detector, toy_samples, training_step

slow = functools.partial(pytest.param, marks=pytest.mark.slow)
FEATURES = dict(hint=dict(type='kddet.HintLearning'), fgfi=dict(type='kddet.FineGrainedImitation', warmup=0))


def tiny_yolox(sizes=(96, 160), divisor=32):
    """With a batch that is resized to a size drawn at random after every iteration."""
    model = load_config('mmdet::yolox/yolox_tiny_8xb8-300e_coco.py').model
    model.backbone.widen_factor = 0.125
    model.neck.update(in_channels=[32, 64, 128], out_channels=16)
    model.bbox_head.update(in_channels=16, feat_channels=16, num_classes=3)
    model.data_preprocessor.update(pad_size_divisor=divisor, batch_augments=[dict(
        type='BatchSyncRandomResize', random_size_range=sizes, size_divisor=32, interval=1)])
    return model


def without_top(detector):
    """RetinaNet without P6 and P7."""
    detector.neck.num_outs = 3
    detector.bbox_head.anchor_generator.strides = [8, 16, 32]
    return detector


def distil(student, teacher, methods=FEATURES):
    torch.manual_seed(0)
    model = Distiller(student, dict(config=dict(model=teacher), checkpoint=None), copy.deepcopy(methods))
    model.init_weights()
    return model.train()


@pytest.mark.parametrize(('student', 'teacher', 'pairs'), [
    (tiny_detector('retinanet'), tiny_detector('faster-rcnn', 16), [(0, 1), (1, 2), (2, 3), (3, 4)]),
    (without_top(tiny_detector('retinanet')), tiny_detector('gfl', 16), [(0, 0), (1, 1), (2, 2)]),
    slow(tiny_detector('fcos'), tiny_detector('atss', 16), [(level, level) for level in range(5)]),
    slow(tiny_detector('faster-rcnn'), tiny_detector('retinanet', 16), [(1, 0), (2, 1), (3, 2), (4, 3)]),
    slow(tiny_detector('fcos'), without_top(tiny_detector('retinanet', 16)), [(0, 0), (1, 1), (2, 2)]),
    slow(tiny_detector('retinanet'), tiny_yolox(), [(0, 0), (1, 1), (2, 2)]),
], ids=['retinanet of faster-rcnn', 'no P6 of gfl', 'fcos of atss', 'faster-rcnn of retinanet', 'fcos of no P6',
        'retinanet of yolox'])
def test_levels_of_one_stride_meet_whatever_the_family(student, teacher, pairs):
    model = distil(student, teacher)
    assert all(method.pairs == pairs for method in model.methods.values())
    log, gradients = training_step(model)
    assert log['loss_hint'] > 0 and log['loss_fgfi'] > 0
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.methods['hint'].parameters())


def inputs_of(detector):
    seen = []
    detector.backbone.register_forward_pre_hook(lambda module, args: seen.append(args[0].detach()))
    return seen


@pytest.mark.parametrize('teacher', ['yolox', slow('retinanet')])
def test_a_batch_is_resized_once_and_both_get_the_same(teacher):
    model = distil(tiny_yolox(), tiny_yolox((32, 64)) if teacher == 'yolox' else tiny_detector('retinanet', 16),
                   dict(hint=FEATURES['hint']))
    own, other = inputs_of(model.student), inputs_of(model.teacher.detector)
    alone = MODELS.build(tiny_yolox().data_preprocessor)
    for iteration in range(4):
        MessageHub.get_current_instance().update_info('iter', iteration)
        random.seed(iteration)
        expected = alone(toy_samples(), True)
        random.seed(iteration)
        data = model.data_preprocessor(toy_samples(), True)
        boxes = [sample.gt_instances.bboxes.clone() for sample in data['data_samples']]
        assert model.loss(**_renamed(data))['loss_hint'] > 0
        assert torch.equal(own[-1], expected['inputs'])
        assert all(torch.equal(mine, sample.gt_instances.bboxes)
                   for mine, sample in zip(boxes, expected['data_samples']))
        assert other[-1].shape == own[-1].shape
        assert torch.equal(other[-1], own[-1]) == (teacher == 'yolox')  # the other is normalised in its own way
    assert len({tuple(batch.shape) for batch in own}) > 1
    augments = model.teacher.detector.data_preprocessor.batch_augments
    assert not augments or augments[0]._input_size is None  # never asked


def _renamed(data):
    return dict(batch_inputs=data['inputs'], batch_data_samples=data['data_samples'])


@pytest.mark.slow
def test_a_teacher_that_needs_multiples_of_32_takes_any_batch():
    """YOLOX joins maps that it has doubled, which fit only where the sides of the batch are multiples of 32."""
    student = tiny_detector('retinanet')
    student.data_preprocessor.pad_size_divisor = 1
    model = distil(student, tiny_yolox())
    with pytest.raises(RuntimeError, match='Sizes of tensors must match'):
        model.teacher.detector.extract_feat(torch.rand(1, 3, 72, 100))
    log, _ = training_step(model, toy_samples(sizes=((72, 100), (64, 92)), boxes=(((8, 8, 40, 56),), ())))
    assert log['loss_hint'] > 0 and log['loss_fgfi'] > 0


@pytest.mark.parametrize('count', [slow(10), 80])
def test_a_teacher_with_its_classes_elsewhere_is_the_same_teacher(plain_config, teacher_files, tmp_path, count):
    """Its ten classes in another order, alone or among seventy that the student does not have; from configs."""
    adl = dict(adl=dict(type='kddet.AdaptiveDistillation', normalizer='positives'))
    names = config_classes(plain_config)
    places = torch.randperm(count)[:10]
    classes = [f'other-{index}' for index in range(count)]
    for name, place in zip(names, places):
        classes[place] = name
    teacher, state = load_config(teacher_files[0]), torch.load(teacher_files[1])['state_dict']
    teacher.train_dataloader.dataset.metainfo = ConfigDict(classes=classes)
    teacher.model.bbox_head.num_classes = count
    teacher.dump(tmp_path / 'teacher.py')
    for key in ('bbox_head.retina_cls.weight', 'bbox_head.retina_cls.bias'):
        old = state[key].reshape(-1, 10, *state[key].shape[1:])
        new = torch.randn(len(old), count, *old.shape[2:])
        new[:, places] = old
        state[key] = new.flatten(0, 1)
    torch.save(dict(state_dict=state), tmp_path / 'teacher.pth')
    losses = []
    for files, class_map in ((teacher_files, None), ((tmp_path / 'teacher.py', tmp_path / 'teacher.pth'), 'auto')):
        cfg = distillation_config(plain_config, methods=adl, teacher=dict(
            config=str(files[0]), checkpoint=str(files[1]), class_map=class_map))
        line = resolve_class_map(cfg)
        torch.manual_seed(0)
        losses.append(training_step(MODELS.build(cfg.model))[0]['loss_adl'])
    assert line == 'classes: 10 of 10 are compared with the teacher'
    torch.testing.assert_close(*losses, rtol=1e-4, atol=1e-6)
