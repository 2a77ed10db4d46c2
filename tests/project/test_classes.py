import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, Registry

from kddet.project.classes import (
    check_config_classes,
    check_same_classes,
    checkpoint_classes,
    config_classes,
    resolve_class_map,
)
from kddet.project.overlay import distillation_config

CLS = dict(cls=dict(type='kddet.WeightedClassification'))


def with_classes(cfg, classes):
    cfg = copy.deepcopy(cfg)
    cfg.train_dataloader.dataset.metainfo = dict(classes=classes)
    return cfg


@pytest.fixture
def swapped(plain_config, tmp_path):
    """A teacher whose classes 'one' and 'two' have changed places."""
    classes = list(config_classes(plain_config))
    classes[1:3] = classes[2], classes[1]
    path = tmp_path / 'teacher.py'
    with_classes(plain_config, tuple(classes)).dump(path)
    return str(path)


def test_classes_of_a_config(plain_config):
    assert config_classes(plain_config)[:2] == ('zero', 'one')
    coco = Config(dict(train_dataloader=dict(dataset=dict(type='CocoDataset'))))
    assert config_classes(coco)[0] == 'person' and len(config_classes(coco)) == 80
    wrapped = Config(dict(train_dataloader=dict(dataset=dict(type='RepeatDataset', dataset=dict(
        type='CocoDataset', metainfo=dict(classes=('a', 'b')))))))
    assert config_classes(wrapped) == ('a', 'b')
    joined = Config(dict(train_dataloader=dict(dataset=dict(type='ConcatDataset', datasets=[dict(type='VOCDataset')]))))
    assert len(config_classes(joined)) == 20
    assert config_classes(Config(dict(model=dict()))) is None


def test_classes_of_a_data_set_in_a_registry_of_the_users_own():
    registry = Registry('dataset', parent=DATASETS, scope='oats')

    @registry.register_module()
    class OatDataset:
        METAINFO = dict(classes=('oat', 'rye'))
    cfg = Config(dict(default_scope='oats', train_dataloader=dict(dataset=dict(type='OatDataset'))))
    assert config_classes(cfg) == ('oat', 'rye')


def test_classes_of_a_checkpoint():
    assert checkpoint_classes(dict(meta=dict(dataset_meta=dict(classes=['a', 'b'])))) == ('a', 'b')
    assert checkpoint_classes(dict(meta=dict(dataset_meta=dict(CLASSES='one')))) == ('one',)
    assert checkpoint_classes(dict(meta=dict(CLASSES=('a', 'b')))) == ('a', 'b')  # MMDet 2.x
    assert checkpoint_classes(dict(state_dict={})) is None


def test_lists_that_differ_are_shown():
    check_same_classes(('a', 'b'), ('a', 'b'), 'cls')
    check_same_classes(None, ('a',), 'cls')
    with pytest.raises(ValueError, match=r'the student has 2 \(a, b\), the teacher 2 \(b, a\)'):
        check_same_classes(('a', 'b'), ('b', 'a'), 'cls')


def test_a_teacher_of_another_order_is_refused_for_methods_that_compare_classes(plain_config, swapped):
    teacher = dict(config=swapped, checkpoint=None)
    with pytest.raises(ValueError, match=r'method cls compares.*zero, one, two.*the teacher 10 \(zero, two, one'):
        check_config_classes(distillation_config(plain_config, teacher=teacher, methods=CLS))
    features = dict(hint=dict(type='kddet.HintLearning'), chen=dict(type='kddet.Chen2017', cls=None, reg=None))
    check_config_classes(distillation_config(plain_config, teacher=teacher, methods=features))
    check_config_classes(plain_config)


def test_the_checkpoint_knows_better_than_its_config(plain_config, swapped, tmp_path):
    torch.save(dict(state_dict={}, meta=dict(dataset_meta=dict(classes=config_classes(plain_config)))),
               tmp_path / 'teacher.pth')
    teacher = dict(config=swapped, checkpoint=str(tmp_path / 'teacher.pth'))
    check_config_classes(distillation_config(plain_config, teacher=teacher, methods=CLS))


def mapped(plain_config, config, class_map):
    return distillation_config(plain_config, methods=CLS, teacher=dict(config=config, checkpoint=None,
                                                                       class_map=class_map))


def test_a_class_map_by_name(plain_config, swapped):
    cfg = mapped(plain_config, swapped, 'auto')
    assert resolve_class_map(cfg) == 'classes: 10 of 10 are compared with the teacher'
    assert cfg.model.teacher.class_map[:4] == [[0, 0], [1, 2], [2, 1], [3, 3]]
    check_config_classes(cfg)
    cfg = mapped(plain_config, swapped, {'nine': 'eight', 'zero': 'one'})
    assert resolve_class_map(cfg).endswith('2 of 10 are compared with the teacher; without a partner: one, two, three, '
                                           'four, five, six, seven, eight')
    assert cfg.model.teacher.class_map == [[9, 8], [0, 2]]
    indices = mapped(plain_config, swapped, [[0, 1]])
    assert resolve_class_map(indices) is None and resolve_class_map(plain_config) is None
    check_config_classes(indices)


@pytest.mark.parametrize(('class_map', 'classes', 'message'), [
    ('auto', ('cat', 'dog'), r'no class in common by name: the student has 10 \(zero, .*, the teacher 2 \(cat, dog\); '
                             'method cls compares classes: say which is which, --class-map STUDENT=TEACHER'),
    ({'zero': 'horse'}, ('cat',), r'class_map names horse, which is not there: the student has 10'),
    ('names', ('cat',), "class_map is 'names'; it is 'auto'"),
])
def test_a_class_map_that_cannot_be_looked_up(plain_config, tmp_path, class_map, classes, message):
    teacher = copy.deepcopy(plain_config)
    teacher.train_dataloader.dataset.metainfo = dict(classes=classes)
    teacher.dump(tmp_path / 'teacher.py')
    with pytest.raises(ValueError, match=message):
        resolve_class_map(mapped(plain_config, str(tmp_path / 'teacher.py'), class_map))


def test_where_nothing_is_compared_by_class_auto_is_no_error(plain_config, tmp_path):
    """Neither with none in common, nor with a teacher whose names nobody knows."""
    hint = dict(hint=dict(type='kddet.HintLearning'))
    with_classes(plain_config, ('cat', 'dog')).dump(tmp_path / 'teacher.py')
    for teacher, problem in ((dict(config=str(tmp_path / 'teacher.py'), checkpoint=None), 'no class in common by name'),
                             (dict(type='kddet.ExternalTeacher', model='a.onnx'), 'the teacher has no list of them')):
        cfg = distillation_config(plain_config, methods=hint, teacher=dict(teacher, class_map='auto'))
        assert problem in (line := resolve_class_map(cfg)) and line.endswith('; no method compares them')
        assert cfg.model.teacher.class_map is None
        check_config_classes(cfg)
        cfg = distillation_config(plain_config, methods=dict(hint, **CLS), teacher=dict(teacher, class_map='auto'))
        with pytest.raises(ValueError, match=f'{problem}.*method cls compares classes'):
            resolve_class_map(cfg)
    cfg = distillation_config(plain_config, methods=hint, teacher=dict(
        config=str(tmp_path / 'teacher.py'), checkpoint=None, class_map=dict(zero='horse')))
    with pytest.raises(ValueError, match='class_map names horse, which is not there'):  # a slip of the pen
        resolve_class_map(cfg)


def test_each_of_several_teachers_has_a_map_of_its_own(plain_config, swapped):
    """Of two teachers with classes in another order, of which one is read class by class."""
    cfg = distillation_config(plain_config, methods=dict(cls=dict(CLS['cls'], teacher='a'), hint=dict(
        type='kddet.HintLearning', teacher='b')), teachers={
            name: dict(config=swapped, checkpoint=None) for name in 'ab'})
    with pytest.raises(ValueError, match=r"method cls compares .*the teacher 'a' 10 .*--class-map auto, .* a=dict\("):
        check_config_classes(cfg)
    cfg.model.teachers.a.class_map = 'auto'
    cfg.model.teachers.b.class_map = dict(one='one')
    assert resolve_class_map(cfg).splitlines() == [
        "classes: 10 of 10 are compared with the teacher 'a'", "classes: 1 of 10 are compared with the teacher 'b'; "
        'without a partner: zero, two, three, four, five, six, seven, eight, nine']
    assert cfg.model.teachers.b.class_map == [[1, 2]] and len(cfg.model.teachers.a.class_map) == 10
    check_config_classes(cfg)
    cfg.model.teachers.b.class_map = 'names'
    with pytest.raises(ValueError, match="class_map is 'names'"):
        resolve_class_map(cfg)


def test_classes_in_a_file(plain_config, tmp_path):
    (tmp_path / 'classes.txt').write_text('cat\ndog\n')
    cfg = copy.deepcopy(plain_config)
    cfg.train_dataloader.dataset.metainfo = dict(classes=str(tmp_path / 'classes.txt'))
    assert config_classes(cfg) == ('cat', 'dog')
