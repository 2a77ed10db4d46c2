"""The Distiller's promises, for every family."""
import copy

import pytest
import torch
from mmengine.registry import MODELS
from mmengine.runner import load_state_dict as mmengine_load_state_dict
from torch import nn

from kddet import Distiller
from kddet.testing import CONFIGS, tiny_detector, toy_samples

FAMILIES = sorted(CONFIGS)


def distiller(family='retinanet', loss_weight=1.0, teacher_width=16, **hint):
    return Distiller(tiny_detector(family), dict(config=dict(model=tiny_detector(family, teacher_width)),
                                                 checkpoint=None),
                     dict(hint=dict(type='kddet.HintLearning', loss_weight=loss_weight, **hint)))


def losses_and_gradients(model, batch, seed=7):
    model.train()
    torch.manual_seed(seed)
    data = model.data_preprocessor(copy.deepcopy(batch), True)
    losses = model(**data, mode='loss')
    total, log = model.parse_losses(losses)
    total.backward()
    detector = model.student if isinstance(model, Distiller) else model
    return log, {name: p.grad.clone() for name, p in detector.named_parameters() if p.grad is not None}, torch.rand(3)


@pytest.mark.parametrize('family', FAMILIES)
@pytest.mark.parametrize('loss_weight', [0.0, 1e-30], ids=['off', 'run but vanishing'])
def test_weight_zero_is_the_plain_detector_bit_for_bit(family, loss_weight):
    torch.manual_seed(0)
    plain = MODELS.build(dict(tiny_detector(family), _scope_='mmdet'))
    plain.init_weights()
    drawn_by_plain = torch.rand(1)
    torch.manual_seed(0)
    distilled = distiller(family, loss_weight)
    distilled.init_weights()
    assert torch.equal(drawn_by_plain, torch.rand(1))  # the random stream goes on alike
    for key, value in plain.state_dict().items():
        assert torch.equal(value, distilled.student.state_dict()[key]), key
    log, gradients, drawn = losses_and_gradients(plain, toy_samples())
    distilled_log, distilled_gradients, distilled_drawn = losses_and_gradients(distilled, toy_samples())
    assert torch.equal(drawn, distilled_drawn)  # sampler draws included
    for key, value in log.items():
        assert torch.equal(value, distilled_log[key]), key
    assert gradients.keys() == distilled_gradients.keys()
    for key, value in gradients.items():
        difference = (value - distilled_gradients[key]).abs().max()
        assert difference <= (1e-25 if loss_weight else 0), key  # a gradient of exactly 0 shows the vanishing term


@pytest.mark.parametrize('family', FAMILIES)
def test_one_step_reaches_student_and_adapters_and_not_the_teacher(family):
    model = distiller(family)
    model.init_weights()
    before = copy.deepcopy(model.teacher.state_dict())
    log, gradients, _ = losses_and_gradients(model, toy_samples())
    assert log['loss_hint'] > 0
    assert gradients
    for name, parameter in model.methods.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    assert all(p.grad is None and not p.requires_grad for p in model.teacher.parameters())
    for name, value in model.teacher.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_teacher_is_nowhere_in_the_module_tree():
    model = distiller()
    own = {id(p) for p in model.teacher.parameters()}
    assert not own & {id(p) for p in model.parameters()}
    assert not {id(m) for m in model.teacher.modules()} & {id(m) for m in model.modules()}
    assert not any('teacher' in key for key in model.state_dict())
    assert len(own)


def test_every_adapter_parameter_is_in_the_optimizer():
    from mmengine.optim import build_optim_wrapper
    model = distiller()
    wrapper = build_optim_wrapper(model, dict(optimizer=dict(type='SGD', lr=0.1, weight_decay=1e-4),
                                              paramwise_cfg=dict(norm_decay_mult=0)))
    grouped = {id(p) for group in wrapper.optimizer.param_groups for p in group['params']}
    assert list(model.methods.parameters())
    assert {id(p) for p in model.methods.parameters()} <= grouped
    assert not {id(p) for p in model.teacher.parameters()} & grouped


def test_dtype_and_device_reach_the_teacher_and_train_returns_self():
    model = distiller()
    assert next(model.double().teacher.parameters()).dtype == torch.float64
    assert next(model.half().teacher.parameters()).dtype == torch.float16
    assert next(model.to(torch.float32).teacher.parameters()).dtype == torch.float32
    assert next(model.to('meta').teacher.parameters()).device.type == 'meta'
    model = distiller()
    assert model.train() is model and model.training and not model.teacher.training
    assert model.teacher.train() is model.teacher
    assert not any(module.training for module in model.teacher.modules())
    assert model.eval() is model


def test_copy_shares_the_teacher_and_does_not_move_it():
    model = distiller()
    twin = copy.deepcopy(model)
    assert twin.teacher is model.teacher and twin.student is not model.student
    twin.to('meta')
    assert next(model.teacher.parameters()).device.type == 'cpu'


def test_init_weights_leaves_the_teacher():
    model = distiller()
    before = copy.deepcopy(model.teacher.state_dict())
    model.init_weights()
    assert all(torch.equal(value, before[key]) for key, value in model.teacher.state_dict().items())


def test_no_hook_is_left_after_loss():
    model = distiller()
    losses_and_gradients(model, toy_samples())
    for module in [*model.modules(), *model.teacher.modules()]:
        assert not module._forward_hooks and not module._forward_pre_hooks


def test_recording_survives_replaced_modules():
    model = distiller(tap='backbone.layer2.0.downsample.1')  # a norm layer itself
    before = model.student.backbone.layer2[0].downsample[1]
    model.student = nn.SyncBatchNorm.convert_sync_batchnorm(model.student)
    from mmengine.model import revert_sync_batchnorm
    model = revert_sync_batchnorm(model)  # every norm layer is another object now
    assert model.student.backbone.layer2[0].downsample[1] is not before
    log, _, _ = losses_and_gradients(model, toy_samples())
    assert log['loss_hint'] > 0


def test_checkpoint_speaks_the_students_language():
    model = distiller()
    saved = model.state_dict()
    plain = MODELS.build(dict(tiny_detector('retinanet'), _scope_='mmdet'))
    student = {key: value for key, value in saved.items() if not key.startswith('distiller.')}
    assert list(student) == list(plain.state_dict())
    plain.load_state_dict(student, strict=True)
    assert [key for key in saved if key.startswith('distiller.')] == [
        f'distiller.methods.hint.adapters.{i}.project.{p}' for i in range(5) for p in ('weight', 'bias')]
    assert saved._metadata['backbone.bn1'] == dict(version=2)


@pytest.mark.parametrize('load', ['torch', 'mmengine', 'nested'])
def test_checkpoint_loads_back(load):
    source, target = distiller(), distiller()
    for parameter in source.parameters():
        nn.init.normal_(parameter)
    if load == 'torch':
        target.load_state_dict(source.state_dict(), strict=True)
    elif load == 'mmengine':
        mmengine_load_state_dict(target, source.state_dict(), strict=True)
    else:  # as EMA and DDP hold it
        source, target = nn.ModuleDict(dict(module=source)), nn.ModuleDict(dict(module=target))
        target.load_state_dict(source.state_dict(), strict=True)
        assert 'module.backbone.conv1.weight' in source.state_dict()
    for key, value in source.state_dict().items():
        assert torch.equal(value, target.state_dict()[key]), key


def test_keys_of_the_module_tree_are_let_through():
    model = distiller()
    model.load_state_dict({'student.backbone.bn1.weight': torch.full((8,), 3.)}, strict=False)
    assert (model.student.backbone.bn1.weight == 3).all()


@pytest.mark.parametrize('boxes', [((), ()), (((10, 10, 60, 60),), ()), (((10, 10, 60, 60),), ((1, 1, 9, 9),))],
                         ids=['no box at all', 'one box', 'one box each'])
@pytest.mark.parametrize('family', FAMILIES)
def test_few_or_no_boxes(family, boxes):
    log, gradients, _ = losses_and_gradients(distiller(family), toy_samples(boxes))
    assert torch.isfinite(log['loss'])
    assert all(gradient.isfinite().all() for gradient in gradients.values())


def test_one_image_whose_last_level_is_one_cell():
    log, gradients, _ = losses_and_gradients(distiller(), toy_samples((((8, 8, 40, 56),),), ((64, 64),)))
    assert torch.isfinite(log['loss_hint'])


def test_bf16_autocast_gives_float32_losses():
    model = distiller()
    data = model.train().data_preprocessor(toy_samples(), True)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = model(**data, mode='loss')
    assert losses['loss_hint'].dtype == torch.float32 and torch.isfinite(losses['loss_hint'])


def test_teacher_is_not_run_when_nothing_reads_it():
    model = distiller().train()
    runs = []
    model.teacher.detector.backbone.register_forward_hook(lambda *_: runs.append(1))
    data = model.data_preprocessor(toy_samples(), True)
    model(**data, mode='loss')
    assert len(runs) == 1
    model.methods['hint'].schedule = 0.0
    losses = model(**data, mode='loss')
    assert len(runs) == 1
    assert losses['loss_hint'] == 0
    losses['loss_hint'].backward()  # the adapters still take part, as DDP asks
    assert all((p.grad == 0).all() for p in model.methods.parameters())


def test_methods_compose_under_their_own_names():
    model = Distiller(tiny_detector('retinanet'),
                      dict(config=dict(model=tiny_detector('retinanet')), checkpoint=None),
                      dict(neck=dict(type='kddet.HintLearning'),
                           stem=dict(type='kddet.HintLearning', tap='backbone.layer1', adapter=None)))
    log, _, _ = losses_and_gradients(model, toy_samples())
    assert log['loss_neck'] > 0 and log['loss_stem'] > 0
    parts = [value for key, value in log.items() if key != 'loss' and 'loss' in key]
    assert log['loss'].item() == pytest.approx(sum(value.item() for value in parts), rel=1e-5)


def test_the_order_in_which_methods_are_written_changes_nothing():
    """MMEngine sorts the keys of the configs that it writes."""
    methods = dict(neck=dict(type='kddet.HintLearning'), c5=dict(type='kddet.HintLearning', tap='backbone.layer4'))
    found = []
    for names in (['neck', 'c5'], ['c5', 'neck']):
        torch.manual_seed(0)
        model = Distiller(tiny_detector('retinanet'), dict(config=dict(model=tiny_detector('retinanet', 16)),
                          checkpoint=None), {name: methods[name] for name in names})
        model.init_weights()
        found.append((model.state_dict(), losses_and_gradients(model, toy_samples())[0]))
    for first, second in zip(*found):
        assert list(first) == list(second) and all(torch.equal(value, second[key]) for key, value in first.items())


def test_loss_is_proportional_to_its_weight():
    torch.manual_seed(0)
    one = losses_and_gradients(distiller(loss_weight=1.0), toy_samples())[0]['loss_hint']
    torch.manual_seed(0)
    three = losses_and_gradients(distiller(loss_weight=3.0), toy_samples())[0]['loss_hint']
    assert three.item() == pytest.approx(3 * one.item(), rel=1e-6)


def test_prediction_is_the_students():
    model = distiller().eval()
    model.teacher.detector.backbone.register_forward_hook(lambda *_: pytest.fail('the teacher ran'))
    data = model.data_preprocessor(toy_samples(), False)
    expected = model.student(**copy.deepcopy(data), mode='predict')
    for ours, theirs in zip(model(**data, mode='predict'), expected):
        assert torch.equal(ours.pred_instances.bboxes, theirs.pred_instances.bboxes)


def test_hooks_find_the_students_modules_on_the_distiller():
    model = distiller()
    assert model.bbox_head is model.student.bbox_head and model.with_neck
    with pytest.raises(AttributeError, match='no_such_thing'):
        model.no_such_thing  # noqa: B018


def test_what_a_hook_sets_on_the_model_reaches_the_student():
    model = distiller()
    model.student.alpha = 1
    twin = copy.deepcopy(model)
    model.alpha = model.epoch = 2
    assert model.student.alpha == model.student.epoch == model.epoch == 2 and 'epoch' not in vars(model)
    assert twin.student.alpha == 1
    twin.alpha = 5
    assert twin.student.alpha == 5 and model.student.alpha == 2
    model.student.parse_losses = lambda losses: ('as the student does', losses)
    assert model.parse_losses({})[0] == 'as the student does'
    model.eval()
    assert not model.training and not model.student.training


def test_names_that_the_student_logs_already_are_refused():
    model = Distiller(tiny_detector('retinanet'), dict(config=dict(model=tiny_detector('retinanet')), checkpoint=None),
                      dict(cls=dict(type='kddet.HintLearning'))).train()
    data = model.data_preprocessor(toy_samples(), True)
    for schedule in (1.0, 0.0):
        model.methods['cls'].schedule = schedule
        with pytest.raises(ValueError, match=r"'cls' would log \['loss_cls'\]"):
            model(**data, mode='loss')


def test_statistics_are_logged_and_not_added_up():
    model = distiller().train()
    method = model.methods['hint']
    data = model.data_preprocessor(toy_samples(), True)
    own = type(method).forward
    type(method).forward = lambda *args: dict(own(*args), ratio=torch.ones(1, requires_grad=True))
    try:
        losses = model(**data, mode='loss')
        assert losses['hint_ratio'] == 1 and not losses['hint_ratio'].requires_grad
        type(method).forward = lambda *args: dict(teacher_loss=torch.ones(1))
        with pytest.raises(ValueError, match='the name of a statistic does not contain it'):
            model(**data, mode='loss')
    finally:
        type(method).forward = own


@pytest.mark.parametrize(('change', 'message'), [
    (dict(methods={}), 'has no methods'),
    (dict(methods=dict(hint=dict(type='kddet.HintLearning', loss_weight=-1))), '-1 .* must be 0 or more'),
    (dict(methods=dict(my_loss=dict(type='kddet.HintLearning'))), "contains 'loss'"),
    (dict(methods=dict(hint=dict(type='kddet.HintLoss'))), 'must be a kddet.DistillMethod'),
    (dict(teacher=dict(config='a.py')), 'teacher needs checkpoint'),
    (dict(teacher=dict(config='a.py', checkpoint='b.pth', chekpoint=1)), "'chekpoint' .did you mean 'checkpoint'"),
    (dict(teacher=None), 'reads the teacher, which is not given'),
    (dict(methods=dict(hint=dict(type='kddet.HintLearning', tap='neck.fpn_convs.9'))), 'neck.fpn_convs has 0, 1, 2'),
    (dict(methods=dict(hint=dict(type='kddet.HintLearning', tap='backbone.layer11'))), 'near matches: backbone.layer1'),
    (dict(methods=dict(hint=dict(type='kddet.HintLearning', levels=[0, 7]))), 'levels 0 to 4'),
    (dict(methods=dict(hint=dict(type='kddet.HintLearning', adapter=None))), '16 channels and the teacher 32'),
    (dict(methods=dict(hint=dict(type='kddet.HintLearning', resize='crop'))), "'interpolate', 'pad'"),
    (dict(methods=dict(hint=dict(type='kddet.HintLearning', tap='bbox_head'))), 'tap a module deeper inside'),
])
def test_wrong_config_is_refused_when_built(change, message):
    config = dict(student=tiny_detector('retinanet'),
                  teacher=dict(config=dict(model=tiny_detector('retinanet', 16)), checkpoint=None),
                  methods=dict(hint=dict(type='kddet.HintLearning')))
    with pytest.raises((ValueError, TypeError), match=message):
        Distiller(**dict(config, **change))
