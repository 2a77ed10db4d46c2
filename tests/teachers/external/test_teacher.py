"""Teachers from outside MMDet: what a detector teaches, its exported maps teach."""
import copy
import json

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from torch import nn

from kddet import Distiller, ExternalTeacher, FrozenTeacher
from kddet.cache import Replay
from kddet.cache.keys import teacher_key
from kddet.preflight.classes import classes_line
from kddet.preflight.teacher import input_lines, weights_line
from kddet.project.overlay import overlay
from kddet.testing import tiny_detector, toy_samples, training_step

FEATURES = dict(hint=dict(type='kddet.HintLearning'), fgfi=dict(type='kddet.FineGrainedImitation', warmup=0))
SCORES = dict(adl=dict(type='kddet.AdaptiveDistillation'), soft=dict(type='kddet.WeightedClassification'))
BOXES = dict(reg=dict(type='kddet.TeacherBoundedRegression'), p3=dict(type='kddet.HintLearning', tap='neck.P3'))
CAFFE = dict(mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0], bgr_to_rgb=False)


@MODELS.register_module()
class Pools(nn.Module):
    """A user's own: two levels, of strides 8 and 16, after a convolution."""

    def __init__(self, width=4, words=('neck',), size=None):
        super().__init__()
        self.conv, self.words, self.input_size = nn.Conv2d(3, width, 1), words, size
        self.calls = 0

    def forward(self, images):
        self.calls += 1
        features = self.conv(images)
        levels = [nn.functional.avg_pool2d(features, stride, ceil_mode=True) for stride in (8, 16)]
        return dict.fromkeys(self.words, levels)


class Maps(nn.Module):
    """What exporters trace: a detector's neck, and its head's maps."""

    def __init__(self, detector, head):
        super().__init__()
        self.detector, self.head = detector, head

    def forward(self, images):
        neck = self.detector.extract_feat(images)
        if not self.head:
            return neck
        cls, reg, *_ = getattr(self.detector, self.head)(neck)
        word = 'rpn.' if self.head == 'rpn_head' else ''
        return {'neck': neck, f'{word}cls': tuple(cls), f'{word}reg': tuple(reg)}


def trained(family='retinanet', **options):
    """The config of a teacher, and its detector."""
    cfg = tiny_detector(family, 16, **options)
    torch.manual_seed(3)
    return cfg, MODELS.build(dict(cfg, _scope_='mmdet')).eval()


def exported(detector, folder, head=None):
    path = folder / f'{head or "neck"}.torchscript'
    torch.jit.trace(Maps(detector, head).eval(), torch.rand(1, 3, 64, 64), strict=False).save(path)
    return str(path)


def losses(teacher, methods, family='retinanet'):
    """Of two steps, the second on a batch of another size."""
    model = Distiller(tiny_detector(family), teacher, copy.deepcopy(methods))
    torch.manual_seed(1)
    model.init_weights()
    return [{key: value.item() for key, value in training_step(model, batch)[0].items()}
            for batch in (toy_samples(), toy_samples(sizes=((96, 160), (90, 100))))]


@pytest.fixture(scope='module')
def neck(tmp_path_factory):
    """``(settings of a FrozenTeacher, TorchScript of its neck)``."""
    folder = tmp_path_factory.mktemp('external')
    cfg, detector = trained()
    torch.save(dict(state_dict=detector.state_dict()), folder / 'teacher.pth')
    return dict(config=dict(model=cfg), checkpoint=str(folder / 'teacher.pth')), exported(detector, folder)


@pytest.mark.parametrize('pixels', [{}, pytest.param(CAFFE, marks=pytest.mark.slow)], ids=['alike', 'caffe'])
def test_torchscript_of_a_neck_teaches_what_its_detector_does(neck, pixels):
    settings = copy.deepcopy(neck[0])
    settings['config']['model'].data_preprocessor.update(pixels)
    expected = losses(settings, FEATURES)
    assert losses(dict(type='kddet.ExternalTeacher', model=neck[1], **pixels), FEATURES) == expected
    assert expected[0]['loss_hint'] > 0 and expected[0]['loss_hint'] != expected[1]['loss_hint']


@pytest.mark.parametrize(('family', 'head', 'heads'), [
    ('retinanet', 'bbox_head', None),
    *(pytest.param(family, 'bbox_head', None, marks=pytest.mark.slow) for family in ('fcos', 'atss', 'gfl')),
    pytest.param('faster-rcnn', 'rpn_head', ['rpn'], marks=pytest.mark.slow)])
def test_maps_of_a_head_teach_what_the_head_does(tmp_path, family, head, heads):
    cfg, detector = trained(family)
    torch.save(dict(state_dict=detector.state_dict()), tmp_path / 'teacher.pth')
    methods = {name: dict(method, **({} if name == 'p3' else dict(heads=heads)))
               for name, method in (SCORES | BOXES).items()}
    expected = losses(dict(config=dict(model=cfg), checkpoint=str(tmp_path / 'teacher.pth')), methods, family)
    found = losses(dict(type='kddet.ExternalTeacher', model=exported(detector, tmp_path, head)), methods, family)
    assert found == expected and all(value > 0 for key, value in found[0].items() if key.startswith('loss_adl'))


@pytest.mark.slow
def test_shared_classes_of_maps_with_more(tmp_path):
    cfg, detector = trained(num_classes=5)
    torch.save(dict(state_dict=detector.state_dict()), tmp_path / 'teacher.pth')
    pairs = dict(class_map=[(0, 4), (2, 1)])
    expected = losses(dict(config=dict(model=cfg), checkpoint=str(tmp_path / 'teacher.pth'), **pairs), SCORES)
    file = exported(detector, tmp_path, 'bbox_head')
    assert losses(dict(type='kddet.ExternalTeacher', model=file, **pairs), SCORES) == expected
    with pytest.raises(ValueError, match='student has 3 classes, that of the teacher 5'):
        losses(dict(type='kddet.ExternalTeacher', model=file), SCORES)


@pytest.mark.slow
@pytest.mark.parametrize('axes', [{0: 'n', 2: 'h', 3: 'w'}, {}], ids=['any size', 'one image of one size'])
def test_onnx_teaches_the_same_to_within_rounding(tmp_path, axes):
    pytest.importorskip('onnxruntime', reason='a teacher in ONNX needs onnxruntime')
    pytest.importorskip('onnx', reason='torch exports ONNX with the package onnx')
    _, detector = trained()
    file, script = str(tmp_path / 'teacher.onnx'), exported(detector, tmp_path, 'bbox_head')
    names = [f'{word}.{level}' for word in ('neck', 'cls', 'reg') for level in range(5)]
    torch.onnx.export(Maps(detector, 'bbox_head').eval(), torch.rand(1, 3, 128, 128), file, input_names=['images'],
                      output_names=names, dynamic_axes=dict.fromkeys(('images', *names), axes) if axes else None,
                      dynamo=False)
    external = dict(type='kddet.ExternalTeacher')
    if axes:
        expected, found = (losses(dict(external, model=own), FEATURES | SCORES) for own in (script, file))
        assert all(one == pytest.approx(other, rel=1e-4) for one, other in zip(found, expected))
        return
    teacher = ExternalTeacher(file)
    assert teacher.detector.fixed_size == (128, 128)
    batch = torch.rand(3, 3, 128, 128)
    expected, found = (own.record(batch, None, ['neck']).pyramid('neck') for own in (ExternalTeacher(script), teacher))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    with pytest.raises(ValueError, match=r'takes images of 128 x 128 alone, and a batch of 96 x 160 .* came'):
        teacher.record(torch.rand(1, 3, 96, 160), None, ['neck'])


def test_a_module_of_the_users_own(tmp_path):
    torch.manual_seed(2)
    own = Pools(6)
    torch.save(dict(state_dict=own.state_dict()), tmp_path / 'mine.pth')
    config = dict(type='kddet.ExternalTeacher', model=dict(type='Pools', width=6, words=('mine', 'backbone')),
                  checkpoint=str(tmp_path / 'mine.pth'))
    methods = dict(hint=dict(type='kddet.HintLearning', teacher_tap='mine'), c3=dict(
        type='kddet.HintLearning', tap='backbone.C3'))
    model = Distiller(tiny_detector('retinanet'), config, methods)
    assert torch.equal(model.teacher.detector.model.conv.weight, own.conv.weight)
    assert model.methods['hint'].pairs == [(0, 0), (1, 1)]
    log, gradients = training_step(model)
    assert log['loss_hint'] > 0 and log['loss_c3'] > 0 and all(value.isfinite().all() for value in gradients.values())
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in model.teacher.parameters())
    assert not model.teacher.detector.model.training


def test_a_tuple_gets_its_names_in_its_order():
    class Tuple(Pools):
        def forward(self, images):
            return tuple(super().forward(images)['neck'])

    assert ExternalTeacher(Tuple()).detector.given == dict(neck=[(4, 32, 32), (4, 16, 16)])
    named = ExternalTeacher(Tuple(), outputs=['neck.P3', 'cls'])
    assert named.detector.given == {'neck': [(4, 32, 32)], 'cls': [(4, 16, 16)]}


def test_weight_zero_is_the_plain_student_and_its_checkpoint_too(neck):
    torch.manual_seed(0)
    plain = MODELS.build(dict(tiny_detector('retinanet'), _scope_='mmdet'))
    torch.manual_seed(0)
    model = Distiller(tiny_detector('retinanet'), dict(type='kddet.ExternalTeacher', model=dict(type='Pools')),
                      dict(hint=dict(type='kddet.HintLearning', loss_weight=0)))
    before = model.teacher.detector.model.calls
    assert {key for key in model.state_dict() if not key.startswith('distiller.')} == set(plain.state_dict())
    added = model.state_dict().keys() - plain.state_dict().keys()
    assert added and all(key.startswith('distiller.methods.hint') for key in added)
    (log, gradients), (own_log, own) = training_step(model), training_step(plain)
    assert all(log[key] == value for key, value in own_log.items())
    assert own.keys() == gradients.keys() and all(torch.equal(value, own[key]) for key, value in gradients.items())
    assert model.teacher.detector.model.calls == before
    assert copy.deepcopy(model.teacher) is model.teacher


def test_a_model_of_one_size_has_the_batch_resized_and_its_maps_back():
    model = Pools(size=(64, 64))
    with pytest.raises(ValueError, match=r'images of 64 x 64 alone, and a batch of 96 x 128'):
        ExternalTeacher(model).record(torch.rand(1, 3, 96, 128), None, ['neck'])
    teacher, batch = ExternalTeacher(model, input_size=(64, 64)), torch.rand(2, 3, 64, 64)
    expected = model(batch)['neck']
    found = teacher.record(batch, None, ['neck']).pyramid('neck')
    assert all(torch.equal(*pair) for pair in zip(found, expected))
    shapes = [tuple(level.shape) for level in teacher.record(torch.rand(2, 3, 90, 128), None, ['neck']).pyramid('neck')]
    assert shapes == [(2, 4, 12, 16), (2, 4, 6, 8)]  # as of a model of strides 8 and 16 that takes any size
    student = Distiller(tiny_detector('retinanet'), dict(type='kddet.ExternalTeacher', model=dict(
        type='Pools', size=(64, 64)), input_size=(64, 64)), dict(FEATURES))
    assert all(method.pairs == [(0, 0), (1, 1)] for method in student.methods.values())
    assert training_step(student)[0]['loss_fgfi'] > 0


@pytest.mark.parametrize(('teacher', 'methods', 'message'), [
    (dict(model='gone.pt'), FEATURES, "the model 'gone.pt' does not exist"),
    (dict(model='a.pth'), FEATURES, r"is 'a.pth'; it must be a file \(.pt, .ts, .torchscript, .pt2, .onnx\)"),
    (dict(model='damaged.pt'), FEATURES, 'damaged.pt. is no TorchScript model .* goes beside its config'),
    (dict(model='damaged.pt2'), FEATURES, 'is refused: torch.export.load unpickles it'),
    (dict(outputs=['neck', 'cls', 'reg']), FEATURES, r'outputs names 3 .* and Pools gives 1 \(neck\)'),
    (dict(outputs=['roi.cls']), FEATURES, "Pools gives 'roi.cls', which has no meaning here: an output is one of neck"),
    (dict(outputs=['train']), FEATURES, "cannot be called 'train'"),
    (dict(outputs=['cls']), FEATURES, r"'neck' cannot be read of the teacher Pools, which gives cls \(2 levels\)"),
    (dict(), dict(hint=dict(type='kddet.HintLearning', teacher_tap='roi')), "'roi' cannot be read of the teacher"),
    (dict(), dict(hint=dict(type='kddet.HintLearning', levels=[4])), 'no partner for every one of'),
    (dict(), SCORES, r'teacher \(ExternalDetector\) has \[\]: dense of the student cannot be compared'),
    (dict(outputs=['cls']), SCORES, 'have 4 channels, which are not those of 9 anchors a cell'),
    (dict(model=dict(type='Pools', width=27), outputs=['cls']), SCORES, 'scores of the student .* need the levels'),
    (dict(model=dict(type='Pools', width=27), outputs=['cls']), BOXES, 'gives no boxes, only cls'),
    (dict(mean=[0, 0, 0]), FEATURES, 'mean of the teacher is .* give both'),
    (dict(input_size=[64]), FEATURES, r'input_size of the teacher is \[64\], it must be \(height, width\)'),
    (dict(outpust=['neck']), FEATURES, r"teacher takes no 'outpust' \(did you mean 'outputs'\?\)"),
    (dict(type='kddet.HintLearning'), FEATURES, "type of the teacher is 'kddet.HintLearning', it must be kddet.Frozen"),
])
def test_what_cannot_teach_is_refused(tmp_path, monkeypatch, teacher, methods, message):
    monkeypatch.chdir(tmp_path)
    for name in ('damaged.pt', 'damaged.pt2'):
        (tmp_path / name).write_bytes(b'PK no archive')
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        Distiller(tiny_detector('retinanet'), dict(dict(type='kddet.ExternalTeacher', model=dict(type='Pools')),
                                                   **teacher), copy.deepcopy(methods))


@pytest.mark.parametrize(('given', 'message'), [
    (lambda images: 3, 'gives a int; a teacher gives tensors'),
    (lambda images: dict(neck='p3'), "'neck' of Given is a str; an output is a tensor"),
    (lambda images: torch.rand(5, 4), r"'neck' of Given has a tensor \(5, 4\) for 1 images"),
    (lambda images: images.view(3, 64, 64), r'Given fails on images \(1, 3, 256, 256\) .*input_size=\(height, width'),
])
def test_what_a_model_gives_is_looked_at_before_training(given, message):
    class Given(nn.Module):
        def forward(self, images):
            return given(images)

    with pytest.raises(ValueError, match=message):
        ExternalTeacher(Given())


def test_a_file_of_torch_export_is_run_where_it_is_trusted(tmp_path):
    model = nn.Conv2d(3, 4, 8, 8).eval()
    torch.export.save(torch.export.export(model, (torch.rand(1, 3, 64, 64),)), tmp_path / 'conv.pt2')
    teacher = ExternalTeacher(str(tmp_path / 'conv.pt2'), trust_checkpoint=True, input_size=(64, 64))
    image = torch.rand(1, 3, 64, 64)
    (found,) = teacher.record(image, None, ['neck']).pyramid('neck')
    torch.testing.assert_close(found, model(image))


def test_without_onnxruntime_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'onnxruntime', None)
    (tmp_path / 'teacher.onnx').touch()
    with pytest.raises(ImportError, match='is run by onnxruntime, which is not installed: pip install onnxruntime'):
        ExternalTeacher(str(tmp_path / 'teacher.onnx'))


def test_the_report_before_training_says_what_is_known_of_it(neck):
    teacher = ExternalTeacher(neck[1])
    student = MODELS.build(dict(tiny_detector('retinanet').data_preprocessor, _scope_='mmdet'))
    teacher.match_input(student)
    line = weights_line(teacher)
    assert f'neck.torchscript, sha256 {teacher.checkpoint_hash}' in line.text and len(teacher.checkpoint_hash) == 12
    assert line.details == ['gives neck (5 levels)'] and line.verdict == 'ok'
    cfg = Config(dict(model=dict(teacher=dict(type='kddet.ExternalTeacher', model=neck[1]))))
    (pixels,) = input_lines(cfg, cfg.model.teacher, student, teacher)
    assert pixels.verdict == 'note' and "the teacher's own is not given" in pixels.text and 'mean=' in pixels.remedy
    told = ExternalTeacher(Pools(size=(64, 64)), **CAFFE, input_size=(64, 64))
    told.match_input(student)
    pixels, size = input_lines(cfg, cfg.model.teacher, student, told)
    assert 'normalised again' in pixels.text and pixels.verdict == 'ok' and 'resized to 64 x 64' in size.text
    cfg.train_dataloader = dict(dataset=dict(type='CocoDataset', metainfo=dict(classes=('a', 'b'))))
    assert classes_line(cfg, cfg.model.teacher, compared=False).verdict == 'ok'
    assert classes_line(cfg, cfg.model.teacher, compared=True).verdict == 'note'
    cfg.model.teacher.classes = ['b', 'c']
    assert 'teacher 2: b, c' in classes_line(cfg, cfg.model.teacher, compared=True).details[1]


def test_a_cache_knows_the_file_and_not_its_path(neck, tmp_path):
    from pathlib import Path
    (tmp_path / 'moved.pt').write_bytes(Path(neck[1]).read_bytes())
    one, moved, other = ExternalTeacher(neck[1]), ExternalTeacher(str(tmp_path / 'moved.pt')), ExternalTeacher(Pools())
    keys = [teacher_key(teacher, ['neck']) for teacher in (one, moved, other, ExternalTeacher(Pools(5)))]
    assert keys[0] == keys[1] and len(set(keys)) == 3
    assert teacher_key(ExternalTeacher(neck[1], outputs=['a'] * 5), ['neck']) not in keys


def test_what_a_cache_has_read_is_not_computed_again(tmp_path):
    teacher = dict(type='kddet.ExternalTeacher', model=dict(type='Pools'), cache=dict(dir=str(tmp_path)))
    model = Distiller(tiny_detector('retinanet'), teacher, dict(hint=dict(type='kddet.HintLearning')))
    model.teacher_caches[''].open(Replay(), 2)
    live = training_step(model)[0]['loss_hint']
    model.teacher_caches[''].close()
    calls = model.teacher.detector.model.calls
    assert torch.equal(training_step(model)[0]['loss_hint'], live) and model.teacher.detector.model.calls == calls


def test_one_argument_on_the_command_line(plain_config, neck):
    cfg = overlay(plain_config, methods=['hint'], teacher=neck[1])
    assert cfg.model.teacher == dict(type='kddet.ExternalTeacher', model=neck[1])
    with pytest.raises(ValueError, match='has its weights in it, and --teacher-checkpoint t.pth is given as well'):
        overlay(plain_config, methods=['hint'], teacher=neck[1], teacher_checkpoint='t.pth')


def test_there_is_nothing_to_measure(neck):
    teacher = ExternalTeacher(neck[1])
    with pytest.raises(ValueError, match=r'gives neck \(5 levels\) and no detections'):
        teacher.check_detections(None)
    assert json.dumps(teacher.model_config)
    assert not isinstance(teacher, FrozenTeacher)
