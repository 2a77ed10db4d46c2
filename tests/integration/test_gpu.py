"""What only a GPU shows; tools/gpu_check.sh runs it."""
import copy

import pytest
import torch
import torch.distributed as dist
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import AmpOptimWrapper

from kddet import Distiller, LabelEncAutoencoder
from kddet.diagnostics.terms import TermWatch
from kddet.recording.recorder import Recorder
from kddet.testing import tiny_detector, toy_samples

pytestmark = pytest.mark.gpu
DEVICE = 'cuda'
METHODS = ('HintLearning', 'FineGrainedImitation', 'AdaptiveDistillation', 'WeightedClassification',
           'TeacherBoundedRegression', 'Chen2017', 'LabelEnc')
DENSE = [(family, method) for method in METHODS for family in ('retinanet', 'fcos')
         if (family, method) != ('fcos', 'Chen2017')]
PAIRS = [*DENSE, ('faster-rcnn', 'Chen2017'), ('faster-rcnn', 'LabelEnc')]


@pytest.fixture(autouse=True)
def _exact():
    """No TF32, which has ten bits of mantissa."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def distiller(family, method, folder, **teacher):
    torch.manual_seed(0)
    student = tiny_detector(family)
    options = {}
    if method == 'LabelEnc':
        options['step1'] = str(folder / 'step1.pth')
        torch.save(dict(state_dict=LabelEncAutoencoder(student, dict(stem_channels=8)).state_dict()), options['step1'])
    model = Distiller(student, None if options else dict(config=dict(model=tiny_detector(family, 16)), checkpoint=None,
                                                         **teacher),
                      dict(method=dict(type=f'kddet.{method}', **options)))
    model.init_weights()
    return model.train()


def data(model):
    return model.data_preprocessor(copy.deepcopy(toy_samples()), True)


def losses(model):
    batch = data(model)
    total, log = model.parse_losses(model.loss(batch['inputs'], batch['data_samples']))
    return total, {key: float(value) for key, value in log.items()}


@pytest.mark.parametrize(('family', 'method'), DENSE)  # a two-stage student samples otherwise on a GPU
def test_losses_are_those_of_the_cpu(tmp_path, family, method):
    model = distiller(family, method, tmp_path)
    _, expected = losses(model)
    _, found = losses(model.to(DEVICE))
    assert any('method' in key for key in expected)
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(('family', 'method'), PAIRS)
def test_a_step_in_mixed_precision(tmp_path, family, method, dtype):
    if family == 'faster-rcnn' and dtype == torch.bfloat16:
        pytest.skip('no RoIAlign has bfloat16')
    model = distiller(family, method, tmp_path).to(DEVICE)
    wrapper = AmpOptimWrapper(loss_scale='dynamic', dtype='float16' if dtype == torch.float16 else 'bfloat16',
                              optimizer=torch.optim.SGD(model.parameters(), lr=1e-3))
    before = [parameter.detach().clone() for parameter in model.parameters()]
    for _ in range(4):  # the first steps may be skipped, until the scale fits
        log = model.train_step(copy.deepcopy(toy_samples()), wrapper)
        assert all(torch.isfinite(value).all() for value in log.values())
    assert any(not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


@pytest.mark.parametrize(('family', 'method'), PAIRS)
def test_a_method_waits_for_the_gpu_nowhere(tmp_path, family, method):
    model = distiller(family, method, tmp_path).to(DEVICE)
    batch = data(model)
    own = model.methods['method']
    calls = {}

    def keep(module, args):
        calls['args'] = args
    handle = own.register_forward_pre_hook(keep)
    model.loss(batch['inputs'], batch['data_samples'])
    handle.remove()
    torch.cuda.set_sync_debug_mode('error')
    try:
        own(*calls['args'])
    finally:
        torch.cuda.set_sync_debug_mode('default')


@pytest.mark.parametrize('options', [dict(dtype='bfloat16'), dict(dtype='float16'), dict(channels_last=True),
                                     dict(compile=True)])
def test_options_of_the_teacher_change_its_features_little(options):
    torch.manual_seed(0)
    exact = distiller('retinanet', 'HintLearning', None).teacher.to(DEVICE)
    other = distiller('retinanet', 'HintLearning', None, **options).teacher.to(DEVICE)
    other.load_state_dict(exact.state_dict())
    inputs = torch.randn(2, 3, 128, 160, device=DEVICE)
    expected, found = (model.record(inputs, None, ['neck']).pyramid('neck') for model in (exact, other))
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours.float() - theirs).norm() < 0.02 * theirs.norm()


def test_what_is_recorded_lies_where_the_student_is(tmp_path):
    model = distiller('retinanet', 'HintLearning', tmp_path).to(DEVICE)
    with Recorder(model.student, ['neck']) as records:
        model.student.extract_feat(data(model)['inputs'])
    assert {level.device.type for level in records.pyramid('neck')} == {DEVICE}
    assert {parameter.device.type for parameter in model.teacher.parameters()} == {DEVICE}


def test_nccl_leaves_the_gradients_of_one_rank(tmp_path):
    model = distiller('fcos', 'AdaptiveDistillation', tmp_path).to(DEVICE)
    losses(model)[0].backward()
    expected = {name: parameter.grad.clone() for name, parameter in model.named_parameters()
                if parameter.grad is not None}
    dist.init_process_group('nccl', init_method=f'file://{tmp_path}/store', rank=0, world_size=1)
    try:
        wrapped = MMDistributedDataParallel(model, device_ids=[0], broadcast_buffers=False)
        for _ in range(2):  # an unused parameter is only noticed in the second iteration
            model.zero_grad()
            total, _ = model.parse_losses(wrapped(**data(model), mode='loss'))
            total.backward()
        for name, parameter in model.named_parameters():
            if name in expected:
                torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-3, atol=1e-5)
    finally:
        dist.destroy_process_group()


def test_diagnostics_under_the_scale_of_mixed_precision(tmp_path):
    """They are those of float32, and the step that follows is taken on the same graph."""
    model = distiller('retinanet', 'HintLearning', tmp_path).to(DEVICE)
    with TermWatch(model) as exact:
        model(**data(model), mode='loss')
    wrapper = AmpOptimWrapper(loss_scale=1024.0, dtype='float16',
                              optimizer=torch.optim.SGD(model.parameters(), lr=1e-3))
    with TermWatch(model, wrapper.loss_scaler.get_scale()) as watch:
        log = model.train_step(copy.deepcopy(toy_samples()), wrapper)
    (report,), (expected,) = watch.reports, exact.reports
    assert report.agreement.ratio == pytest.approx(expected.agreement.ratio, rel=0.1)
    assert report.agreement.cosine == pytest.approx(expected.agreement.cosine, abs=0.1)
    assert report.value == pytest.approx(log['loss_method'].item(), rel=1e-6)
