import builtins
import inspect
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.utils import package_utils

from kddet import Distiller, LabelEncAutoencoder
from kddet.project.config import (
    build_detector,
    build_model,
    check_wrapper,
    is_distillation,
    load_config,
    student_config,
    write_config,
)
from kddet.project.overlay import distillation_config
from kddet.testing import tiny_detector

CONFIGS = sorted((Path(__file__).parents[2] / 'configs').glob('[!_]*/*.py'))


def test_sources_of_a_config(tmp_path):
    (tmp_path / 'a.py').write_text('model = dict(type="X")')
    assert load_config(tmp_path / 'a.py').model.type == 'X'
    assert load_config(dict(model=dict(type='X'))).model.type == 'X'
    cfg = Config(dict(model=dict(type='X')))
    assert load_config(cfg) is cfg
    assert load_config('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py').model.type == 'RetinaNet'


def test_a_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match="config 'nowhere.py' does not exist"):
        load_config('nowhere.py')


@pytest.mark.parametrize(('name', 'place'), [('lentils.neck', 'lentils/__init__.py'), ('chickpeas', None),
                                             ('peanuts', 'peanuts.py'), ('projects.oats', 'projects/oats.py')])
def test_a_package_that_is_not_on_the_path_is_named_with_its_place(tmp_path, name, place):
    config = tmp_path / f'configs/{name}.py'  # called like the package, as configs are
    config.parent.mkdir()
    config.write_text(f'custom_imports = dict(imports=[{name!r}])')
    if place:
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).touch()
    with pytest.raises(ImportError) as raised:
        load_config(config)
    top = name.partition('.')[0]
    assert str(raised.value) == f"config '{config}' imports '{top}', which Python does not find: " + (
        f'it lies in {tmp_path}, set PYTHONPATH={tmp_path}' if place else 'install it, or put its folder on PYTHONPATH')


def test_a_package_that_fails_to_import_says_why(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / 'barley.py').write_text('from kddet import NoSuchThing')
    (tmp_path / 'c.py').write_text("custom_imports = dict(imports=['barley'])")
    with pytest.raises(ImportError, match=r"c.py' imports what cannot be imported: cannot import name 'NoSuchThing'"):
        load_config(tmp_path / 'c.py')


@pytest.mark.skipif('pkg_resources' not in inspect.getsource(package_utils), reason='this mmengine does without')
def test_without_pkg_resources_it_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == 'pkg_resources':
            raise ModuleNotFoundError("No module named 'pkg_resources'", name='pkg_resources')
        return real(name, *args, **kwargs)
    monkeypatch.setattr(builtins, '__import__', without)
    with pytest.raises(ImportError, match=r"pip install 'setuptools<82'"):
        load_config('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py')


def test_a_config_is_written_as_what_it_is_or_not_at_all(tmp_path):
    cfg = Config(dict(a=(1, [2.5, None]), b={'x-y': "it's", 3: dict(c=True)}))
    write_config(cfg, tmp_path / 'a.py')
    assert Config.fromfile(tmp_path / 'a.py').to_dict() == cfg.to_dict()
    with pytest.raises(ValueError, match=r"cannot be written to .*b.py .*name 'inf' is not defined"):
        write_config(Config(dict(a=float('inf'))), tmp_path / 'b.py')
    assert not (tmp_path / 'b.py').exists()


def test_overlay_leaves_the_students_config_as_it_is():
    plain = Config(dict(model=dict(type='X', a=1), train_cfg=dict(max_epochs=3)))
    cfg = distillation_config(plain, teacher=dict(config='t.py', checkpoint='t.pth'), methods=dict(m=dict(type='M')))
    assert is_distillation(cfg) and not is_distillation(plain)
    assert cfg.model.student == plain.model == dict(type='X', a=1) and cfg.train_cfg.max_epochs == 3
    assert student_config(cfg).model == plain.model
    assert 'teacher' not in distillation_config(plain, teacher=None, methods={}).model


@pytest.mark.parametrize('own', [None, dict(type='DetDataPreprocessor', mean=3 * [1.0], std=3 * [2.0])])
def test_a_preprocessor_beside_the_model_is_that_of_a_model_without_one(own):
    """As in MMEngine's Runner, which gives it to the Distiller."""
    beside = dict(type='DetDataPreprocessor', mean=3 * [7.0], std=3 * [8.0])
    cfg = Config(dict(model=tiny_detector('retinanet'), data_preprocessor=beside))
    cfg.model.data_preprocessor = own
    if own is None:
        del cfg.model.data_preprocessor
    distiller = Distiller(cfg.model, dict(config=cfg, checkpoint=None), dict(hint=dict(type='kddet.HintLearning')),
                          data_preprocessor=cfg.data_preprocessor)
    assert distiller.data_preprocessor is distiller.student.data_preprocessor
    whole = distillation_config(cfg, teacher=dict(config=cfg, checkpoint=None),
                                methods=dict(hint=dict(type='kddet.HintLearning')))
    for detector in (distiller, distiller.teacher.detector, build_detector(cfg), build_model(whole)):
        assert detector.data_preprocessor.mean[0].item() == (7 if own is None else 1)


@pytest.mark.parametrize(('options', 'message'), [
    (dict(type='kddet.LabelEncAutoencoder', joint='maybe'), "joint of the model is 'maybe', it must be True or False"),
    (dict(type=LabelEncAutoencoder, foo=1), "the model takes no 'foo'; it takes student, encoder"),
    (dict(type='kddet.Distiller', student=None), r'student of the model is None, it must be a dict\(...\)'),
    (dict(type='kddet.Distiller', student=dict(neck=3)), 'student has no type'),
])
def test_options_that_a_wrapper_does_not_take_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        check_wrapper(Config(dict(model={'student': dict(type='RetinaNet'), **options})))
    check_wrapper(Config(dict(model=dict(type=options['type'], student=dict(type='RetinaNet')))))


@pytest.mark.slow
@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_every_config_builds(path, tmp_path):
    cfg = load_config(path)
    if is_distillation(cfg):
        assert re.match(rf'{path.parent.name}(-\w+)?_', path.name) or path.parent.name == 'quick'
        cfg.model.student.backbone.init_cfg = None
    if cfg.model.get('teacher'):
        assert cfg.model.teacher.config.startswith('mmdet::') or Path(cfg.model.teacher.config).is_file()
        cfg.model.teacher.checkpoint = None
    if step2 := cfg.model.get('methods', {}).get('labelenc'):
        first = load_config(path.parent / f'{step2.step1.split("/")[1]}.py').model
        first.student.backbone.init_cfg = None
        torch.save(dict(state_dict=MODELS.build(first).state_dict()), tmp_path / 'step1.pth')
        step2.step1 = str(tmp_path / 'step1.pth')
    model = MODELS.build(cfg.model)
    assert sum(parameter.numel() for parameter in model.parameters()) > 1e5
