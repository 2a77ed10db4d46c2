import copy

import pytest
from mmengine.config import Config

from kddet.benchmarks.step import Cost, build, measure, table, toy_batch
from kddet.project.overlay import distillation_config
from kddet.testing import tiny_detector


def config(family, methods, teacher=True):
    plain = Config(dict(model=tiny_detector(family)))
    return distillation_config(plain, methods=methods, teacher=dict(
        config=dict(model=tiny_detector(family, 16)), checkpoint='nowhere.pth') if teacher else None)


@pytest.mark.parametrize(('family', 'methods'), [
    ('retinanet', dict(adl=dict(type='kddet.AdaptiveDistillation'))),
    ('faster-rcnn', dict(chen2017=dict(type='kddet.Chen2017'))),
    ('fcos', dict(labelenc=dict(type='kddet.LabelEnc', step1='nowhere.pth')))])
def test_every_part_is_measured(family, methods):
    """With random weights: no checkpoint is read."""
    cfg = config(family, methods, teacher='labelenc' not in methods)
    before = copy.deepcopy(cfg.to_dict())
    cost = measure(cfg, 'x', batch=1, height=64, width=96, boxes=2, iters=1, device='cpu')
    assert min(cost.student, cost.teacher, cost.distillation) > 0
    assert cost.recorded_memory > 0 and cost.shape == (1, 64, 96)
    assert cfg.to_dict() == before


def test_augmentations_of_the_batch_are_left_out():
    cfg = config('retinanet', dict(hint=dict(type='kddet.HintLearning')))
    cfg.model.student.data_preprocessor.batch_augments = [
        dict(type='BatchSyncRandomResize', random_size_range=(96, 160), size_divisor=32, interval=1)]
    model = build(cfg, 'nowhere')
    inputs, samples = toy_batch(model, 2, 64, 96)
    assert inputs.shape == (2, 3, 64, 96) and len(samples) == 2


def test_ratios():
    cost = Cost('name', 'cpu', 1, (2, 64, 64), False, 3, student=2.0, teacher=1.0, distillation=3.3,
                student_memory=100.0, distillation_memory=132.0, recorded_memory=10.0, machine='m', date='d')
    assert cost.over_sum == pytest.approx(1.1) and cost.over_student == pytest.approx(1.65)
    assert cost.terms == pytest.approx(0.3) and cost.memory == pytest.approx(1.2)
    assert table([cost]).splitlines()[-1] == '| name | 2 x 64 x 64 | 1.10 | 1.65 | 0.50 | 0.09 | 1.20 |'


def test_a_teacher_with_a_cache_is_measured_with_one_of_its_own():
    cfg = config('retinanet', dict(hint=dict(type='kddet.HintLearning')))
    cfg.model.teacher.cache = dict(dir='nowhere', dtype='float16', max_gb=1e-9)
    cost = measure(cfg, 'x', batch=1, height=64, width=64, boxes=1, iters=1, device='cpu')
    assert cost.cache == 'float16' and '1 x 64 x 64, cached float16 |' in table([cost])


def test_a_plain_config_is_refused():
    with pytest.raises(ValueError, match='x is not a distillation config: its model is a RetinaNet'):
        measure(Config(dict(model=tiny_detector('retinanet'))), 'x', batch=1, height=64, width=64, boxes=1, iters=1,
                device='cpu')


@pytest.mark.gpu
@pytest.mark.parametrize('amp', [False, True])
def test_on_a_gpu(amp):
    cost = measure(config('retinanet', dict(fgfi=dict(type='kddet.FineGrainedImitation'))), 'x', batch=1, height=64,
                   width=64, boxes=1, iters=1, device='cuda', amp=amp)
    assert cost.distillation_memory > 0
