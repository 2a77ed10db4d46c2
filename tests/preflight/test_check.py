"""The report of a Runner, and that it changes nothing about the run."""
import copy
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.runner import Runner

from kddet import MODELS, Distiller, DistillMethod
from kddet.preflight import preflight
from kddet.preflight.report import FILE, read_report
from kddet.project.overlay import distillation_config


@MODELS.register_module(force=True)
class Alone(DistillMethod):
    """Reads no teacher."""
    student_taps = ('neck',)

    def forward(self, student, teacher, samples):
        return dict(loss=student.pyramid('neck')[0].mean()**2)


def build(cfg, work_dir, **changes):
    cfg = copy.deepcopy(cfg)
    cfg.merge_from_dict(dict(changes, work_dir=str(work_dir), experiment_name=f'{work_dir.parent.name}{work_dir.name}'))
    cfg.visualizer.name = cfg.experiment_name
    # random numbers of NumPy and Python, drawn for every picture
    cfg.train_dataloader.dataset.pipeline.insert(3, dict(type='mmdet.PhotoMetricDistortion'))
    return Runner.from_cfg(cfg)


def random_states():
    return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()


def topics(report):
    return {line.topic: line.verdict for line in report.lines}


def test_random_numbers_weights_and_modes_stay_what_they_are(distilled_config, tmp_path):
    runner = build(distilled_config, tmp_path / 'work')
    model = runner.model.train()
    model.student.backbone.eval()
    before, weights = random_states(), copy.deepcopy(model.state_dict())
    modes = [module.training for module in model.modules()]
    report = preflight(runner, images=2, cache=str(tmp_path / 'cache'))
    assert random_states() == before and [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in [*model.modules(), *model.teacher.modules()])
    assert topics(report) == dict(teacher='ok', accuracy='stop', classes='ok', input='ok', heads='ok', hint='ok',
                                  batch='note')


def test_two_teachers_have_lines_of_their_own(plain_config, teacher_files, tmp_path):
    config, checkpoint = teacher_files
    cfg = distillation_config(plain_config, teachers=dict(
        a=dict(config=config, checkpoint=checkpoint),
        b=dict(config=config, checkpoint=None, class_map=[(0, 0), (3, 3)], input_scale=2.0)), methods=dict(
            adl=dict(type='kddet.AdaptiveDistillation', teacher='b', loss_weight=0.0),
            hint=dict(type='kddet.HintLearning', teacher='a')))
    report = preflight(build(cfg, tmp_path / 'work'), images=2, cache=None)
    found = [(line.topic, line.text) for line in report.lines]
    for topic, beginning in (
            ('teacher', 'a: '), ('accuracy', 'a: the teacher has mAP 0.000 on 2 of 4'), ('classes', 'a: the same 10'),
            ('input', 'a: normalised alike'), ('heads', 'a: student RetinaNet (RetinaHead), teacher'),
            ('teacher', 'b: no checkpoint'), ('accuracy', 'b: not measured: its weights are random'),
            ('classes', "b: 2 of the student's 10 meet one"), ('size', 'b: the teacher sees the batch at 2 times'),
            ('heads', 'b: student RetinaNet'), ('adl', 'AdaptiveDistillation from b, weight 0'),
            ('hint', 'HintLearning from a, weight 0.5')):
        assert any(line[0] == topic and line[1].startswith(beginning) for line in found), (topic, beginning, found)
    heads = {text[0]: text.rpartition('; ')[2] for topic, text in found if topic == 'heads'}
    assert heads == dict(a='read by no method', b='read by adl')
    assert ' learns from a, RetinaNet (' in report.title and report.title.endswith(' parameters), by adl, hint')
    assert [line.text[0] for line in report.stops] == ['a']


@pytest.mark.slow
def test_weight_0_is_the_plain_detector_with_the_report_on(plain_config, distilled_config, tmp_path):
    """Losses, weights, and every random number up to the end."""
    seen = []
    for name, cfg, changes in (('plain', plain_config, {}),
                               ('distilled', distilled_config, {'model.methods.hint.loss_weight': 0})):
        runner = build(cfg, tmp_path / name, **changes)
        if name == 'distilled':
            preflight(runner, images=2, cache=None)
        losses = []
        student = getattr(runner.model, 'student', runner.model)
        student.bbox_head.register_forward_pre_hook(lambda *_, losses=losses: losses.append(random_states()))
        runner.train()
        seen.append((losses, random_states(), student.state_dict()))
    assert seen[0][:2] == seen[1][:2] and len(seen[0][0]) == 4 + 2
    assert all(torch.equal(value, seen[1][2][key]) for key, value in seen[0][2].items())


def test_a_method_without_a_teacher_and_the_log(plain_config, tmp_path):
    model = Distiller(plain_config.model, methods=dict(alone=dict(type='kddet.Alone')))
    cfg = copy.deepcopy(plain_config)
    cfg.model = ConfigDict(type='kddet.Distiller')
    logged = []
    logger = SimpleNamespace(info=lambda text, *values: logged.append(text % values))
    loop = SimpleNamespace(dataloader=SimpleNamespace(dataset=[]))
    report = preflight(SimpleNamespace(model=model, cfg=cfg, logger=logger, log_dir=str(tmp_path), train_loop=loop))
    assert topics(report) == dict(teacher='ok', heads='ok', alone='ok', batch='note')
    (line,) = [line for line in report.lines if line.topic == 'alone']
    assert line.details == ['reads neck of the student'] and report.title.endswith('learns by alone')
    assert logged == [f'\n{report}'] and read_report(tmp_path / FILE) == report
