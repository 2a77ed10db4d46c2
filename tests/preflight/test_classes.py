"""The line on classes."""
import torch
from mmengine.config import Config

from kddet.preflight.classes import classes_line


def classes(student, teacher, class_map=None, compared=True, checkpoint=None, name=''):
    def data(names):
        return dict(train_dataloader=dict(dataset=dict(type='CocoDataset', metainfo=dict(classes=names))),
                    model=dict(type='RetinaNet')) if names else dict(model=dict(type='RetinaNet'))
    cfg = Config(dict(data(student), model=dict(type='kddet.Distiller', student={}, teacher=dict(
        config=data(teacher), class_map=class_map, checkpoint=checkpoint))))
    return classes_line(cfg, cfg.model.teacher, compared, name)


def test_classes_beside_each_other():
    line = classes(('a', 'b'), ('a', 'b'))
    assert line.verdict == 'ok' and line.text == 'the same 2: a, b'
    line = classes(('a', 'b'), ('b', 'c', 'd'), [(1, 0)])
    assert line.verdict == 'note' and line.text == "1 of the student's 2 meet one of the teacher's 3: b"
    assert line.details == ['without a partner in the teacher: a']
    line = classes(('a', 'b'), ('x', 'b'), [(0, 0), (1, 1)])
    assert line.verdict == 'ok' and line.text.endswith(': a=x, b')
    line = classes(('a', 'b'), ('b', 'a'), compared=False)
    assert line.verdict == 'ok' and line.details == ['student 2: a, b', 'teacher 2: b, a']
    line = classes(('a', 'b'), ('c',), compared=False)
    assert line.verdict == 'note' and line.text.startswith('none in common by name, and no method compares')
    assert '--class-map STUDENT=TEACHER' in line.remedy and line.details == ['student 2: a, b', 'teacher 1: c']
    line = classes(('a',), None)
    assert line.verdict == 'note' and 'those of the teacher are not known' in line.text
    assert 'and 68 more' in classes([f'c{i}' for i in range(80)], [f'c{i}' for i in range(80)]).text


def test_remedies_name_the_flag_and_the_setting_of_this_teacher():
    assert classes(('a',), ('b',)).remedy == "--class-map auto, in a config teacher=dict(class_map='auto')"
    assert "x101=dict(class_map='auto')" in classes(('a',), ('b',), name='x101').remedy
    assert '--teacher-options x101.classes="[...]", in a config x101=dict(' in classes(('a',), None, name='x101').remedy


def test_a_checkpoint_that_contradicts_its_config_is_a_note(tmp_path):
    """Believed, so that the line would say that all is the same."""
    file = str(tmp_path / 'teacher.pth')

    def stored(names):
        torch.save(dict(state_dict={}, meta=dict(dataset_meta=dict(classes=names))), file)
    stored(('a', 'b', 'c'))
    assert classes(('a', 'b', 'c'), ('a', 'b', 'c'), checkpoint=file).verdict == 'ok'
    for compared in (True, False):
        line = classes(('a', 'b', 'c'), ('c', 'a', 'b'), checkpoint=file, compared=compared)
        assert line.verdict == 'note' and line.text.startswith('the same 3: a, b, c; ')
        assert line.details == ['in the checkpoint 3: a, b, c', 'in its config 3: c, a, b']
        assert '--teacher-options class_map="[(0,1),...]", in a config teacher=dict(class_map=[(0, ' in line.remedy
    names = [f'c{index}' for index in range(80)]
    stored(names)
    line = classes(names, [*names[:40], 'other', *names[41:]], checkpoint=file)
    assert line.details[1].startswith('in its config 80, from 40 on: other, c41, ')
