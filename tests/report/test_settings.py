"""A config in a few lines."""
import copy

from mmengine.config import ConfigDict

from kddet.report.detectors import line_up
from kddet.report.run_folder import RunFolder
from kddet.report.settings import detector, settings


def test_of_a_distillation(work_dirs):
    found = settings(RunFolder(work_dirs[1]))
    assert found['student'] == 'RetinaNet, ResNet-18, FPN'
    assert found['teacher'] == 'teacher.py; teacher.pth'
    assert found['methods'] == 'hint: HintLearning(loss_weight=0.5)'  # the default, which the config does not name
    assert found['schedule'].startswith('2 epochs; LinearLR') and 'lr=0.002' in found['optimizer']
    assert found['batch'] == '8 (2 processes of 4)' and found['seed'] == '7' and found['hardware'] == 'Some GPU'
    assert 'instances_train.json; pictures within' in found['training data']


def test_weights_and_options_that_are_given(work_dirs):
    run = RunFolder(work_dirs[1])
    run.cfg = copy.deepcopy(run.cfg)
    run.cfg.model.methods.hint.update(loss_weight=0.25, adapter=None)
    run.cfg.model.teacher.input_scale = 2.0
    run.cfg.optim_wrapper = dict(type='AmpOptimWrapper', optimizer=dict(type='SGD', lr=0.1), clip_grad=None)
    run.cfg.train_cfg = dict(max_iters=90000)
    run.cfg.randomness = dict(seed=3)
    found = settings(run)
    assert found['methods'] == 'hint: HintLearning(loss_weight=0.25, adapter=None)'
    assert found["teacher's options"] == 'input_scale=2.0' and found['seed'] == '3'
    assert found['optimizer'] == 'SGD(lr=0.1), mixed precision'
    assert found['schedule'].startswith('4 of 90000 iterations, interrupted')


def test_a_class_map_is_shown_by_name_where_the_names_are_known(work_dirs):
    run = RunFolder(work_dirs[1])
    run.cfg = copy.deepcopy(run.cfg)
    run.cfg.model.teacher.class_map = [[0, 0], [6, 9], [9, 6]]
    assert settings(run)["teacher's options"] == 'class_map=(zero, six=nine, nine=six)'
    run.cfg.model.teacher.class_map = [[index, index] for index in range(10)]
    assert settings(run)["teacher's options"] == 'class_map=(zero, one, two, three, four, five, 4 more)'
    run.cfg.model.teacher.class_map = [[0, 90]]
    assert settings(run)["teacher's options"] == 'class_map=(0 to 90)'
    run.cfg.model.teacher.update(class_map=[[6, 9]], checkpoint='/gone.pth')
    assert settings(run)["teacher's options"] == 'class_map=(6 to 9)'


def test_of_several_teachers(work_dirs):
    run = RunFolder(work_dirs[1])
    run.cfg = copy.deepcopy(run.cfg)
    one = run.cfg.model.pop('teacher')
    run.cfg.model.teachers = dict(a=one, b=dict(one, checkpoint='/x/other.pth', input_scale=2.0))
    run.cfg.model.methods.hint.teacher = 'b'
    found = settings(run)
    assert found['teacher'] == 'a: teacher.py; teacher.pth\nb: teacher.py; other.pth'
    assert found["teacher's options"] == 'b: input_scale=2.0'
    assert found['methods'] == 'hint: HintLearning(loss_weight=0.5, teacher=b)'
    notes = []
    teachers = [column for column in line_up([run], None, notes) if column.teaches]
    assert [(column.name, column.taught_as) for column in teachers] == [('teacher a', 'a'), ('teacher b', 'b')]
    assert all(column.taught(run) for column in teachers) and not notes
    twin = RunFolder(work_dirs[1], 'twin')
    assert [column.taught(twin) for column in teachers] == [True, False]
    names = [column.name for column in line_up([twin, run], None, notes) if column.teaches]
    assert names == ['teacher of twin', f'teacher b of {run.name}']


def test_of_a_plain_run(work_dirs):
    found = settings(RunFolder(work_dirs[0]))
    assert found['teacher'] == 'none' and found['methods'] == 'none, trained plainly'


def test_detectors_of_other_shapes():
    model = ConfigDict(type='mmdet.FasterRCNN', backbone=dict(type='SwinTransformer', depth=[1, 2]),
                       neck=[dict(type='FPN'), dict(type='BFP')])
    assert detector(model) == 'FasterRCNN, SwinTransformer, FPN, BFP'
    assert detector(ConfigDict(type='DETR')) == 'DETR'
