import pytest
import torch
import torch._dynamo.utils

from kddet import Distiller, FrozenTeacher
from kddet.teachers.compiled import CompiledFeatures, check_compiled_taps
from kddet.testing import tiny_detector


def test_taps_inside_are_refused():
    check_compiled_taps(['neck', 'backbone', 'neck.P3', 'backbone.C4', 'neck:input', 'bbox_head.retina_cls'])
    with pytest.raises(ValueError, match=r'taps backbone\.layer2, neck\.fpn_convs\.0 lie inside what is compiled'):
        check_compiled_taps(['neck', 'backbone.layer2', 'neck.fpn_convs.0'])


def test_the_distiller_refuses_them_when_it_is_built():
    with pytest.raises(ValueError, match='lie inside what is compiled'):
        Distiller(tiny_detector('retinanet'),
                  dict(config=dict(model=tiny_detector('retinanet')), checkpoint=None, compile=True),
                  dict(hint=dict(type='kddet.HintLearning', tap='backbone.layer2')))


def test_forward_is_swapped_inside_alone():
    detector = FrozenTeacher(dict(model=tiny_detector('retinanet')), None).detector
    own = detector.backbone.forward
    compiled = CompiledFeatures(detector)
    with pytest.raises(RuntimeError, match='inside'), compiled.running():
        assert detector.backbone.forward != own and detector.neck.forward in compiled._compiled
        raise RuntimeError('inside')
    assert detector.backbone.forward == own and 'forward' not in vars(detector.neck)


@pytest.mark.slow
def test_a_compiled_teacher_records_what_a_plain_one_does():
    torch.manual_seed(0)
    plain = FrozenTeacher(dict(model=tiny_detector('fcos')), None)
    compiled = FrozenTeacher(dict(model=tiny_detector('fcos')), None, compile=True)
    compiled.load_state_dict(plain.state_dict())
    inputs, taps = torch.rand(2, 3, 64, 96), ['backbone', 'neck', 'bbox_head']
    expected, found = (teacher.record(inputs, None, taps) for teacher in (plain, compiled))
    for tap, item in (('backbone', None), ('neck', None), ('bbox_head', 0)):
        for ours, theirs in zip(found.pyramid(tap, item), expected.pyramid(tap, item), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert torch._dynamo.utils.counters['stats']['unique_graphs'] >= 2
