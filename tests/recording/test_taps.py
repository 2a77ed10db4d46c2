import pytest
import torch
from mmengine.registry import MODELS

from kddet import Distiller, Recorder
from kddet.recording.forward import forward_to
from kddet.recording.taps import Tap, level_names, parse_tap
from kddet.testing import tiny_detector, training_step


def detector(family='retinanet', **options):
    torch.manual_seed(0)
    return MODELS.build(dict(tiny_detector(family, **options), _scope_='mmdet')).eval()


def record(model, taps, size=(100, 160)):
    with torch.no_grad(), Recorder(model, taps) as records:
        forward_to(model, torch.rand(1, 3, *size), records)
    return records


@pytest.mark.parametrize(('name', 'tap'), [
    ('neck', Tap('neck')), ('neck.fpn_convs.0:input', Tap('neck.fpn_convs.0', of_input=True)),
    ('neck.P3', Tap('neck', level=3)), ('backbone.C5', Tap('backbone', level=5)), ('cls', Tap('bbox_head', item=0)),
    ('rpn.reg', Tap('rpn_head', item=1)), ('roi', Tap('roi_head.bbox_head')), ('neck.C3', Tap('neck.C3')),
    ('roi.1.reg', Tap('roi_head.bbox_head.1', item=1)), ('roi.0', Tap('roi_head.bbox_head.0')),
    ('backbone.layer3', Tap('backbone.layer3'))])
def test_names(name, tap):
    assert parse_tap(name) == tap


def test_words_are_parts_of_what_the_modules_give():
    """Sides that strides do not divide included."""
    model = detector()
    records = record(model, ['backbone', 'backbone.C4', 'neck', 'neck.P3', 'neck.P6', 'bbox_head', 'cls', 'reg'])
    neck = records.pyramid('neck')
    assert [tuple(level.shape[2:]) for level in neck] == [(13, 20), (7, 10), (4, 5), (2, 3), (1, 2)]
    backbone = records.pyramid('backbone')
    for word, whole, index in (('neck.P3', neck, 0), ('neck.P6', neck, 3), ('backbone.C4', backbone, 2)):
        found, = records.pyramid(word)
        assert found is whole[index]
    for word, item in (('cls', 0), ('reg', 1)):
        assert all(a is b for a, b in zip(records.pyramid(word), records.pyramid('bbox_head', item), strict=True))


def test_a_level_that_is_not_there():
    with pytest.raises(ValueError, match=r'no level of stride 4: for an image of \(100, 160\) it gives 13 x 20'):
        record(detector(), ['neck.P2'])
    with pytest.raises(ValueError, match=r"tap 'neck.P9' is not in the model .* tap neck.P3 or neck.P4 or"):
        record(detector(), ['neck.P9'])
    with pytest.raises(ValueError, match="tap 'rpn.cls' is not in the model"):
        Recorder(detector(), ['rpn.cls'])


@pytest.mark.parametrize(('output', 'given'), [
    (([torch.zeros(1, 8, 4, 4)],), 'bbox_head of Sequential gives one pyramid; `reg` is not in it; tap cls or'),
    (torch.zeros(2, 3), 'gives a Tensor; `reg` is not in it; tap bbox_head, or'),
    (([torch.zeros(2, 3)], None), 'gives one pyramid')])
def test_an_element_that_a_head_does_not_give(output, given):
    class Head(torch.nn.Module):
        def forward(self, features):
            return output
    model = torch.nn.Sequential()
    model.add_module('bbox_head', Head())
    with pytest.raises(ValueError, match=f"tap 'reg' is not in the student .*{given}"), Recorder(
            model, ['reg'], 'student'):
        model(torch.zeros(1))


def test_levels_of_one_size_are_taken_in_order():
    """Of a small image P6 and P7 are one cell each."""
    records = record(detector(), ['neck', 'neck.P6', 'neck.P7'], (64, 64))
    neck = records.pyramid('neck')
    assert neck[3].shape == neck[4].shape
    assert records.pyramid('neck.P6')[0] is neck[3] and records.pyramid('neck.P7')[0] is neck[4]


def test_a_list_of_modules_is_refused():
    with pytest.raises(ValueError, match=r"tap 'roi' .* is a list of 3 modules, .* tap roi_head.bbox_head.0"):
        Recorder(detector('cascade-rcnn'), ['roi'])


def test_names_of_levels():
    levels = [torch.zeros(1, 1, 13, 20), torch.zeros(1, 1, 9, 9)]
    assert level_names('neck', levels, (100, 160)) == ['neck.P3', None]
    assert level_names('roi_head', levels, (100, 160)) == [None, None]


@pytest.mark.parametrize(('family', 'word', 'dotted'), [
    ('retinanet', dict(tap='neck.P4'), dict(tap='neck', levels=[1])), ('retinanet', dict(tap='backbone.C3'), dict(
        tap='backbone', levels=[1])), ('faster-rcnn', dict(tap='roi.cls'), dict(tap='roi_head.bbox_head.fc_cls'))])
def test_in_a_config_a_word_is_what_a_dotted_name_is(family, word, dotted):
    found = []
    for options in (word, dotted):
        torch.manual_seed(0)
        model = Distiller(tiny_detector(family), dict(config=dict(model=tiny_detector(family, 16)), checkpoint=None),
                          dict(hint=dict(type='kddet.HintLearning', adapter=dict(kernel_size=1), **options)))
        model.init_weights()
        found.append(training_step(model)[0]['loss_hint'])
    assert torch.equal(*found) and found[0] > 0
