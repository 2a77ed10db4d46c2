import pytest
import torch
from torch import nn

from kddet import Distiller, HintLearning, Recorder, Records
from kddet.testing import tiny_detector, toy_samples


class Model(nn.Module):
    """A pyramid of two levels, a map and a vector, of a given width and stride."""

    def __init__(self, width, stride=4):
        super().__init__()
        self.fine, self.coarse = nn.Conv2d(3, width, 1, stride), nn.Conv2d(3, width, 1, 2 * stride)
        self.neck, self.fc = _Neck(self), nn.Linear(3, width)

    def forward(self, x):
        return self.neck(x), self.fc(x.mean((2, 3)))


class _Neck(nn.Module):
    def __init__(self, owner):
        super().__init__()
        self._owner = [owner]

    def forward(self, x):
        return self._owner[0].fine(x), self._owner[0].coarse(x)


def compare(student, teacher, size=64, **options):
    method = HintLearning(**options)
    taps = [method.tap]
    with Recorder(student, taps) as student_records, Recorder(teacher, taps) as teacher_records:
        student(torch.zeros(1, 3, 64, 64)), teacher(torch.zeros(1, 3, 64, 64))
    method.build(student_records, teacher_records)
    method.init_weights()
    x = torch.rand(2, 3, size, size)
    with Recorder(student, taps) as student_records, Recorder(teacher, taps) as teacher_records:
        student(x), teacher(x)
    return method, method(student_records, teacher_records, [])['loss'], student_records, teacher_records


def test_is_the_mean_over_levels_of_the_adapted_difference():
    method, loss, student, teacher = compare(Model(4), Model(6))
    expected = [((adapter(s) - t)**2).mean() for adapter, s, t in
                zip(method.adapters, student.pyramid('neck'), teacher.pyramid('neck'))]
    assert loss.item() == pytest.approx(sum(expected).item() / 2, rel=1e-5)


def test_adapter_is_there_at_equal_width_and_can_be_switched_off():
    method, *_ = compare(Model(4), Model(4))
    assert [type(a.project) for a in method.adapters] == [nn.Conv2d, nn.Conv2d]
    method, loss, student, teacher = compare(Model(4), Model(4), adapter=None)
    assert not list(method.parameters())
    expected = sum(((s - t)**2).mean() for s, t in zip(student.pyramid('neck'), teacher.pyramid('neck'))) / 2
    assert loss.item() == pytest.approx(expected.item())


def test_vectors_are_adapted_by_a_linear_layer():
    method, loss, *_ = compare(Model(4), Model(6), tap='fc')
    assert type(method.adapters[0].project) is nn.Linear
    assert loss > 0


def test_levels_pair_by_stride():
    student, teacher = Model(4, stride=8), Model(4, stride=4)  # strides 8, 16 and 4, 8
    method, *_ = compare(student, teacher)
    assert method.pairs == [(0, 1)]


def test_a_level_twice_is_refused():
    with pytest.raises(ValueError, match=r"levels \[0, 1, 0\] has a level twice; give each once"):
        compare(Model(4), Model(4), levels=[0, 1, 0])


def test_chosen_levels():
    method, *_ = compare(Model(4), Model(4), levels=[1])
    assert method.pairs == [(1, 1)] and len(method.adapters) == 1


@pytest.mark.parametrize('resize', ['interpolate', 'pad'])
def test_sizes_that_differ_are_brought_together(resize):
    student, teacher = Model(4, stride=16), Model(4, stride=2)  # no stride in common: paired by index
    method, loss, s, t = compare(student, teacher, resize=resize, adapter=None)
    assert method.pairs == [(0, 0), (1, 1)]
    maps = zip(s.pyramid('neck'), t.pyramid('neck'))
    if resize == 'interpolate':
        expected = [((nn.functional.interpolate(a, b.shape[2:], mode='bilinear') - b)**2).mean() for a, b in maps]
    else:
        expected = []
        for a, b in maps:
            padded = torch.zeros_like(b)
            padded[:, :, :a.shape[2], :a.shape[3]] = a
            expected.append(((padded - b)**2).mean())
    assert loss.item() == pytest.approx(sum(expected).item() / 2, rel=1e-5)


def test_a_level_without_partner_is_refused():
    student, teacher = Model(4, stride=4), Model(4, stride=8)  # strides 4, 8 and 8, 16
    assert compare(student, teacher, levels=[1])[0].pairs == [(1, 0)]
    with pytest.raises(ValueError, match='no partner for every one'):
        compare(student, teacher, levels=[0, 1])
    with pytest.raises(ValueError, match='no partner for every one'):
        compare(student, teacher, levels=[0])


def test_map_against_vector_is_refused():
    student, teacher = Model(4), Model(4)
    with pytest.raises(ValueError, match=r'the student gives \(1, 4, 16, 16\), the teacher \(1, 4\)'):
        method = HintLearning(tap='fine', teacher_tap='fc')
        with Recorder(student, ['fine']) as s, Recorder(teacher, ['fc']) as t:
            student(torch.zeros(1, 3, 64, 64)), teacher(torch.zeros(1, 3, 64, 64))
        method.build(s, t)


@pytest.mark.parametrize('tap', ['roi_head.bbox_head.fc_cls:input', 'roi_head.bbox_head.fc_cls'])
def test_vectors_of_the_roi_head_are_compared_on_the_students_rois(tap):
    """Chen et al.: fully connected layers where the hint is one; both models see the same RoIs."""
    model = Distiller(tiny_detector('faster-rcnn'), dict(config=dict(model=tiny_detector('faster-rcnn', 16)),
                                                         checkpoint=None),
                      dict(hint=dict(type='kddet.HintLearning', tap=tap)))
    model.init_weights()
    data = model.data_preprocessor(toy_samples(), True)
    losses = model(**data, mode='loss')
    adapter, = model.methods['hint'].adapters
    assert type(adapter.project) is nn.Linear
    assert adapter.project.weight.shape == ((64, 32) if tap.endswith('input') else (4, 4))
    losses['loss_hint'].backward()
    assert model.student.roi_head.bbox_head.shared_fcs[1].weight.grad.abs().sum() > 0
    assert adapter.project.weight.grad.abs().sum() > 0


def test_an_output_that_is_overwritten_in_place_says_which_tap_to_take():
    with pytest.raises(RuntimeError, match='the input of what comes next'):
        Distiller(tiny_detector('faster-rcnn'), dict(config=dict(model=tiny_detector('faster-rcnn')), checkpoint=None),
                  dict(hint=dict(type='kddet.HintLearning', tap='roi_head.bbox_head.shared_fcs.1')))


def test_a_roi_tap_needs_two_stages_in_both():
    with pytest.raises(ValueError, match='both must be two-stage detectors'):
        Distiller(tiny_detector('faster-rcnn'), dict(config=dict(model=tiny_detector('retinanet')), checkpoint=None),
                  dict(hint=dict(type='kddet.HintLearning', tap='neck', teacher_tap='roi_head.bbox_head')))


def test_a_cascade_that_ends_early_leaves_a_zero_for_its_later_stages():
    method = HintLearning(tap='roi_head.bbox_head.1.fc_cls:input')
    method.adapters = nn.ModuleList([nn.Linear(3, 4)])
    loss = method(Records([method.tap]), Records([method.tap]), toy_samples()['data_samples'])['loss']
    loss.backward()
    assert loss == 0 and method.adapters[0].weight.grad is not None
