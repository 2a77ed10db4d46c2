import copy
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, OPTIM_WRAPPER_CONSTRUCTORS

from kddet.command_line.parser import work_dir_of
from kddet.methods import NAMES
from kddet.project.config import is_distillation, load_config, student_config, type_name
from kddet.project.optim import StudentOptimWrapperConstructor
from kddet.project.overlay import DIAGNOSTICS, HOOKS, add_hooks, diagnose_methods, overlay

SEVERAL = dict(teacher=dict(a='a.py', b='b.py'), teacher_checkpoint=dict(a='a.pth', b='b.pth'))
TEACHER = dict(teacher='t.py', teacher_checkpoint='t.pth')


@OPTIM_WRAPPER_CONSTRUCTORS.register_module(force=True)
class ByBeginning:
    """As layer-wise learning rates do: names are looked at from their beginning."""

    def __init__(self, optim_wrapper_cfg, paramwise_cfg=None):
        self.cfg, self.paramwise = optim_wrapper_cfg, paramwise_cfg

    def __call__(self, model):
        from mmengine.optim import OptimWrapper
        groups = [dict(params=[p], param_names=[name], lr=0.1 if name.startswith('backbone.') else 1.0,
                       decay=self.paramwise['decay'])
                  for name, p in model.named_parameters()]
        return OptimWrapper(torch.optim.SGD(groups, lr=self.cfg['optimizer']['lr']))


def groups(model, cfg):
    names = {id(parameter): name.removeprefix('student.') for name, parameter in model.named_parameters()}
    return [(sorted(names[id(p)] for p in group['params']), {k: v for k, v in group.items() if k != 'params'})
            for group in build_optim_wrapper(model, cfg).optimizer.param_groups]


@pytest.mark.parametrize('optim_wrapper', [
    dict(optimizer=dict(type='SGD', lr=0.5)),
    dict(optimizer=dict(type='AdamW', lr=0.5, weight_decay=0.1), paramwise_cfg=dict(
        custom_keys={'backbone': dict(lr_mult=0.1)}, norm_decay_mult=0.0)),
    dict(constructor='ByBeginning', optimizer=dict(type='SGD', lr=0.5), paramwise_cfg=dict(decay=0.7))])
def test_groups_of_parameters_are_the_plain_students_and_one_more(plain_config, teacher_files, optim_wrapper):
    plain = copy.deepcopy(plain_config)
    plain.optim_wrapper = Config(dict(o=dict(type='OptimWrapper', **optim_wrapper))).o
    cfg = overlay(plain, methods=['hint'], teacher=teacher_files[0], teacher_checkpoint=teacher_files[1])
    expected = groups(MODELS.build(plain.model), plain.optim_wrapper)
    *found, last = groups(MODELS.build(cfg.model), cfg.optim_wrapper)
    assert found == expected
    assert len(last[0]) == 8 and all(name.startswith('methods.hint.adapters') for name in last[0])
    assert last[1]['lr'] == 0.5


def test_a_plain_model_gets_its_own_constructor(plain_config):
    plain = copy.deepcopy(plain_config)
    wrapper = StudentOptimWrapperConstructor(plain.optim_wrapper)(MODELS.build(plain.model))
    assert len(wrapper.optimizer.param_groups) == 1


def test_everything_else_is_the_users_own(plain_config):
    plain = copy.deepcopy(plain_config)
    plain.custom_imports = dict(imports='numpy', allow_failed_imports=True)
    plain.custom_hooks = [dict(type='EMAHook')]
    before = plain.to_dict()
    cfg = overlay(plain, methods=['fgfi', 'adl'], options={'fgfi.adapter.kernel_size': 1, 'adl.loss_weight': 0.3},
                  **TEACHER)
    assert plain.to_dict() == before
    changed = {key for key, value in cfg.to_dict().items() if value != before.get(key)}
    assert changed == {'model', 'optim_wrapper', 'custom_imports'}
    assert cfg.custom_imports == dict(imports=['numpy', 'kddet'], allow_failed_imports=True)
    assert cfg.model.student == plain.model
    assert cfg.model.methods == dict(
        fgfi=dict(type='kddet.FineGrainedImitation', adapter=dict(kernel_size=1)),
        adl=dict(type='kddet.AdaptiveDistillation', loss_weight=0.3))
    assert cfg.model.teacher.config.startswith('/') and cfg.model.teacher.checkpoint.endswith('/t.pth')
    kept = {key: value for key, value in cfg.optim_wrapper.items() if key not in ('constructor', 'paramwise_cfg')}
    assert kept == dict(plain.optim_wrapper)


def test_teachers_from_elsewhere_stay_where_they_are(plain_config):
    cfg = overlay(plain_config, methods=['hint'], teacher='mmdet::a/b.py', teacher_checkpoint='https://x/y.pth')
    assert dict(cfg.model.teacher) == dict(config='mmdet::a/b.py', checkpoint='https://x/y.pth')
    assert 'teacher' not in overlay(plain_config, methods=['labelenc'], options={'labelenc.step1': 's.pth'}).model


def test_several_teachers_and_which_method_reads_which(plain_config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'a').touch()  # a name is a name, whatever lies there
    cfg = overlay(plain_config, methods=['hint', 'far=hint'], options={'hint.teacher': 'a', 'far.teacher': 'b'},
                  class_map='auto', **SEVERAL)
    assert 'teacher' not in cfg.model and cfg.model.teachers == {name: dict(
        config=str(tmp_path / f'{name}.py'), checkpoint=str(tmp_path / f'{name}.pth'), class_map='auto')
        for name in 'ab'}
    assert cfg.model.methods == {name: dict(type='kddet.HintLearning', teacher=teacher)
                                 for name, teacher in (('hint', 'a'), ('far', 'b'))}


@pytest.mark.parametrize('name', NAMES)
def test_names_are_of_methods(name):
    from kddet import MODELS as OWN
    from kddet import DistillMethod
    assert issubclass(OWN.get(NAMES[name]), DistillMethod)


@pytest.mark.parametrize(('options', 'message'), [
    (dict(methods=['fgfl'], **TEACHER), "unknown method 'fgfl', did you mean 'fgfi'. there are hint, "),
    (dict(methods=['fgfi', 'fgfi'], **TEACHER), 'methods fgfi, fgfi: give one or more, each once'),
    (dict(methods=[]), 'methods none'),
    (dict(methods=['a=hint', 'a=adl'], **TEACHER), 'give one or more, each once; the same for two teachers by two'),
    (dict(methods=['a.b=hint'], **TEACHER), "a method is called 'a.b'; names begin with a letter"),
    (dict(methods=['a=hind'], **TEACHER), "unknown method 'hind', did you mean 'hint'"),
    (dict(methods=['hint'], teacher=dict(a='a.py'), teacher_checkpoint='a.pth'),
     '^--teacher has names for its files and --teacher-checkpoint has none'),
    (dict(methods=['hint'], teacher='a.py', teacher_checkpoint=dict(a='a.pth')),
     '^--teacher-checkpoint has names for its files and --teacher has none'),
    (dict(methods=['hint'], teacher=dict(r101='a.py'), teacher_checkpoint=dict(r110='a.pth')),
     "'r110' has no --teacher .did you mean 'r101'.*there are r101: give it one, --teacher r110=FILE"),
    (dict(methods=['hint'], teacher=dict(a='a.py', b='b.py'), teacher_checkpoint=dict(a='a.pth')),
     "'b' has no --teacher-checkpoint; there are a: give it one, --teacher-checkpoint b=FILE"),
    (dict(methods=['fgfi'], options={'fgfi.los_weight': 1}, **TEACHER),
     "unknown option of fgfi 'los_weight', did you mean 'loss_weight'"),
    (dict(methods=['fgfi'], options={'adl.beta': 1}, **TEACHER), "unknown method 'adl'; there are fgfi"),
    (dict(methods=['fgfi'], options={'fgfi': 3}, **TEACHER),
     '^--method-options fgfi=3 does not say .*: give METHOD.NAME=VALUE, such as fgfi.loss_weight=0.5$'),
    (dict(methods=['fgfi'], options={'loss_weight': 3}, **TEACHER), '--method-options loss_weight=3 does not say of'),
    (dict(methods=['labelenc'], teacher_options={'dtype': 'bfloat16'}),
     '^--teacher-options dtype=bfloat16 is given without a teacher; give --teacher'),
    (dict(methods=['fgfi', 'labelenc'], teacher='t.py'), 'method fgfi reads a teacher, whose checkpoint is not given'),
    (dict(methods=['adl']), 'reads a teacher, whose config and checkpoint are not given'),
])
def test_refuses(plain_config, options, message):
    with pytest.raises(ValueError, match=message):
        overlay(plain_config, **options)


def test_refuses_a_distillation_config(distilled_config):
    with pytest.raises(ValueError, match='is a distillation config already'):
        overlay(distilled_config, methods=['hint'], **TEACHER)


def test_a_constructor_that_is_a_class_can_be_dumped(plain_config, tmp_path):
    plain = copy.deepcopy(plain_config)
    plain.optim_wrapper.constructor = ByBeginning
    cfg = overlay(plain, methods=['hint'], **TEACHER)
    cfg.dump(tmp_path / 'c.py')
    assert Config.fromfile(tmp_path / 'c.py').optim_wrapper.paramwise_cfg.student_constructor.endswith('.ByBeginning')


def test_configs_in_pure_python_style(tmp_path):
    """Those with ``read_base()`` and classes for types; what is written has names, and reads as any other."""
    (tmp_path / 'base.py').write_text('from mmdet.models import RetinaNet\nmodel = dict(type=RetinaNet, a=1)\n')
    (tmp_path / 'student.py').write_text(
        'from mmengine.config import read_base\nfrom mmengine.hooks import EMAHook\n'
        'from mmengine.optim import DefaultOptimWrapperConstructor\nwith read_base():\n    from .base import *\n'
        'optim_wrapper = dict(constructor=DefaultOptimWrapperConstructor)\ncustom_hooks = [dict(type=EMAHook)]\n')
    cfg = overlay(load_config(tmp_path / 'student.py'), methods=['hint'], **TEACHER)
    add_hooks(cfg)
    cfg.dump(tmp_path / 'distil.py')
    found = load_config(tmp_path / 'distil.py')
    assert is_distillation(found) and found.model.student == dict(type='mmdet.models.RetinaNet', a=1)
    assert found.optim_wrapper.paramwise_cfg.student_constructor.endswith('.DefaultOptimWrapperConstructor')
    back = student_config(found)
    assert back.model.type == 'mmdet.models.RetinaNet' and len(found.custom_hooks) == 3
    assert [hook.type for hook in back.custom_hooks] == ['mmengine.hooks.EMAHook']


@pytest.mark.parametrize('place', ['kddet', 'kddet.distiller'])
def test_a_distillation_config_in_pure_python_style(place, tmp_path):
    (tmp_path / 'c.py').write_text(
        f'from {place} import Distiller\nfrom kddet.hooks import TermWatchHook\n'
        'model = dict(type=Distiller, student=dict(type="X"))\ncustom_hooks = [dict(type=TermWatchHook)]\n')
    cfg = load_config(tmp_path / 'c.py')
    cfg.dump(tmp_path / 'written.py')
    for own in (cfg, load_config(tmp_path / 'written.py')):
        assert is_distillation(own) and student_config(own).custom_hooks == []
        add_hooks(own)
        assert [type_name(hook.type) for hook in own.custom_hooks] == list(HOOKS)


def test_the_plain_config_comes_back(plain_config):
    plain = copy.deepcopy(plain_config)
    plain.optim_wrapper.constructor = 'ByBeginning'
    plain.optim_wrapper.paramwise_cfg = dict(decay=0.3)
    back = student_config(overlay(plain, methods=['hint'], **TEACHER))
    assert back.model == plain.model and back.optim_wrapper == plain.optim_wrapper
    assert 'kddet' not in back.custom_imports.imports
    back = student_config(overlay(plain_config, methods=['hint'], **TEACHER))
    assert back.optim_wrapper == plain_config.optim_wrapper


def test_refuses_a_config_without_an_optimizer(plain_config):
    plain = Config({key: value for key, value in plain_config.items() if key != 'optim_wrapper'})
    with pytest.raises(ValueError, match='has no optim_wrapper'):
        overlay(plain, methods=['hint'], **TEACHER)


def test_work_dirs_of_methods_lie_beside_the_plain_ones():
    def at(method=None, work_dir=None, own=None):
        return work_dir_of(SimpleNamespace(method=method, work_dir=work_dir, config='a/b.py', local_rank=0),
                           dict(work_dir=own) if own else {})
    assert at() == 'work_dirs/b' and at(['hint', 'adl']) == 'work_dirs/hint+adl_b'
    assert at(['a=hint', 'b=hint']) == 'work_dirs/a+b_b'
    assert at(own='x/y/') == 'x/y/' and at(['hint'], own='x/y/') == 'x/y_hint' and at(['hint'], 'w', 'x') == 'w'


def test_diagnostics_are_added_once_to_a_config_with_methods(plain_config, distilled_config):
    cfg = copy.deepcopy(distilled_config)
    cfg.custom_hooks = [dict(type='EMAHook'), dict(type=DIAGNOSTICS, allowed=(0.1, 1))]
    for interval in (20, 5):
        diagnose_methods(cfg, interval)
    assert [dict(hook) for hook in cfg.custom_hooks] == [
        dict(type='EMAHook'), dict(type=DIAGNOSTICS, allowed=(0.1, 1), interval=5)]
    assert [hook['type'] for hook in student_config(cfg).custom_hooks] == ['EMAHook']
    with pytest.raises(ValueError, match='every 0 iterations: give 1 or more'):
        diagnose_methods(cfg, 0)
    with pytest.raises(ValueError, match='the model of the config is a plain RetinaNet; add --method'):
        diagnose_methods(copy.deepcopy(plain_config), 5)
