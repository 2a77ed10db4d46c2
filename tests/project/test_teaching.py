"""Options of teachers on the command line."""
import pytest
from mmengine.config import Config

from kddet.distiller import check_methods
from kddet.project.overlay import overlay
from kddet.project.teaching import check_overrides, teachers_of

SEVERAL = dict(large='/large.py', small='/small.py'), dict(large='/large.pth', small='/small.pth')
HINT = dict(hint=dict(type='kddet.HintLearning'))


def test_options_are_those_of_the_class_and_of_the_cache():
    options = {'input_scale': 2.0, 'dtype': 'bfloat16', 'cache.dir': 'kept', 'cache.max_gb': 3, 'strict': False}
    found = teachers_of('/t.py', '/t.pth', None, options)
    assert found == dict(teacher=dict(config='/t.py', checkpoint='/t.pth', input_scale=2.0, dtype='bfloat16',
                                      cache=dict(dir='kept', max_gb=3), strict=False))
    check_methods(found['teacher'], HINT)


def test_of_a_model_from_outside():
    options = dict(outputs=['neck', 'cls'], mean=[0, 0, 0], std=[255, 255, 255], bgr_to_rgb=True, input_size=(64, 64),
                   classes=['cat'])
    found = teachers_of('/t.onnx', None, 'auto', options)
    assert found == dict(teacher=dict(options, type='kddet.ExternalTeacher', model='/t.onnx', class_map='auto'))
    check_methods(found['teacher'], HINT)


def test_of_one_among_several():
    found = teachers_of(*SEVERAL, 'auto', {'large.input_scale': 2, 'small.class_map.lorry': 'truck'})
    assert found == dict(teachers=dict(
        large=dict(config='/large.py', checkpoint='/large.pth', class_map='auto', input_scale=2),
        small=dict(config='/small.py', checkpoint='/small.pth', class_map=dict(lorry='truck'))))


@pytest.mark.parametrize(('files', 'options', 'message'), [
    (('t.py', 't.pth'), {'input_scal': 2}, "unknown option of the teacher 'input_scal', did you mean 'input_scale'"),
    (('t.py', 't.pth'), {'mean': [0, 0, 0]}, "unknown option of the teacher 'mean'; there are strict, .*, cache$"),
    (('t.py', 't.pth'), {'checkpoint': 'a'}, "unknown option of the teacher 'checkpoint'"),
    (('t.onnx', None), {'dtype': 'float16'}, "unknown option of the teacher 'dtype'; there are outputs, mean, std"),
    (SEVERAL, {'input_scale': 2}, 'does not say of which teacher: .* such as large.input_scale=2.0'),
    (SEVERAL, {'larg.input_scale': 2}, "unknown teacher 'larg', did you mean 'large'"),
    (SEVERAL, {'large.input_scal': 2}, "unknown option of the teacher 'large' 'input_scal', did you mean"),
    ((None, None), {'dtype': 'float16'}, 'is given without a teacher'),
])
def test_refuses(files, options, message):
    with pytest.raises(ValueError, match=message):
        teachers_of(*files, None, options)


@pytest.mark.parametrize(('key', 'value', 'instead'), [
    ('model.teacher.input_scale', 2, '--teacher-options input_scale=2'),
    ('model.teacher.cache.dir', 'kept', '--teacher-options cache.dir=kept'),
    ('model.teachers.large.input_scale', 2, '--teacher-options large.input_scale=2'),
    ('model.teacher.checkpoint', 'a.pth', '--teacher-checkpoint a.pth'),
    ('model.teachers.large.config', 'a.py', '--teacher large=a.py'), ('model.teacher', 'a.py', '--teacher a.py'),
    ('model.methods.hint.levels', [1], '--method-options hint.levels=[1]'),
])
def test_settings_of_what_is_yet_to_be_added_are_led_to_their_flag(plain_config, key, value, instead):
    with pytest.raises(ValueError, match=f'--cfg-options {key} is meant .*; give ') as error:
        check_overrides(plain_config, {'model.neck.out_channels': 8, key: value})
    assert str(error.value).endswith(f'give {instead}')


def test_settings_of_the_users_own_model_are_left_alone():
    own = Config(dict(model=dict(type='MeanTeacher', teacher=dict(momentum=0.1))))
    check_overrides(own, {'model.teacher.momentum': 0.2, 'model.backbone.depth': 18})
    check_overrides(own, None)


def test_an_overlay_has_them(plain_config):
    cfg = overlay(plain_config, methods=['hint'], teacher='t.py', teacher_checkpoint='t.pth',
                  teacher_options={'cache.dir': 'kept'}, class_map=dict(one='two'))
    assert cfg.model.teacher.cache == dict(dir='kept') and cfg.model.teacher.class_map == dict(one='two')
