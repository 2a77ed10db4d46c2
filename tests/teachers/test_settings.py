"""Who teaches whom: what a config says, and what it must not say."""
import pytest

from kddet.distiller import check_methods
from kddet.teachers.settings import method_options, methods_of, named_teachers

ONE = dict(config='a.py', checkpoint='a.pth')
TWO = dict(r101=ONE, x101=dict(config='b.py', checkpoint='b.pth'))
HINT, ADL = dict(type='kddet.HintLearning'), dict(type='kddet.AdaptiveDistillation')


def test_names_are_sorted_and_one_alone_has_none():
    assert list(named_teachers(dict(teachers=dict(b=1, a=2)))) == ['a', 'b']
    assert named_teachers(dict(teacher=ONE)) == {'': ONE} and named_teachers(dict(teacher=None)) == {}


def test_methods_are_those_that_name_it_or_all():
    methods = dict(hint=dict(HINT, teacher='a'), adl=dict(ADL, teacher='b'), own=dict(type='X'))
    assert list(methods_of(dict(methods=methods), 'a')) == ['hint']
    assert list(methods_of(dict(methods=dict(hint=HINT, adl=ADL)), '')) == ['hint', 'adl']
    assert method_options(methods['hint']) == HINT


def test_right_ones_are_taken():
    methods = dict(hint=dict(HINT, teacher='r101'), adl=dict(ADL, teacher='x101'),
                   far=dict(HINT, teacher='x101', loss_weight=0.0),
                   own=dict(type='kddet.LabelEnc', step1='x.pth'))
    assert check_methods(None, methods, TWO) == TWO
    assert check_methods(ONE, dict(hint=dict(HINT, teacher=None))) == {'': ONE}


@pytest.mark.parametrize(('teaching', 'methods', 'message'), [
    (dict(teacher=ONE, teachers=TWO), dict(hint=HINT), 'both teacher and teachers are given'),
    (dict(teachers=[ONE]), dict(hint=HINT), r'it must be teachers=dict\(name=dict'),
    (dict(teachers=ONE), dict(hint=HINT), "teacher 'checkpoint' is 'a.pth', it must be checkpoint=dict"),
    (dict(teachers={'1st': ONE}), dict(hint=HINT), "a teacher is called '1st'; names begin with a letter"),
    (dict(teachers=dict(a=dict(ONE, chekpoint=1))), dict(hint=HINT),
     "teacher 'a' takes no 'chekpoint' .did you mean 'checkpoint'"),
    (dict(teachers=dict(a=dict(ONE, cache=dict(dir='x', dtyp=1)))), dict(hint=HINT),
     "cache of the teacher 'a' takes no 'dtyp'"),
    (dict(teachers=TWO), dict(hint=HINT, adl=dict(ADL, teacher='x101')),
     r"'hint' \(HintLearning\) reads a teacher and does not say which of r101, x101: give it teacher='r101'"),
    (dict(teachers=TWO), dict(adl=ADL), r"'adl' \(AdaptiveDistillation\) reads a teacher and does not say which"),
    (dict(teachers=TWO), dict(hint=dict(HINT, teacher='r10')),
     r"reads the teacher 'r10', which is not there .did you mean 'r101'\?.; there are r101, x101"),
    (dict(teachers=TWO), dict(hint=dict(HINT, teacher=101)), 'reads the teacher 101, which is not there'),
    (dict(teachers=TWO), dict(hint=dict(HINT, teacher='r101')), "no method reads the teacher 'x101'; give a method"),
    (dict(teachers=TWO), dict(own=dict(type='kddet.LabelEnc', step1='x.pth', teacher='r101')),
     r"'own' \(LabelEnc\) reads no teacher; take its teacher='r101' out"),
    (dict(teacher=ONE), dict(hint=dict(HINT, teacher='r101')), "'r101', and there is one teacher, which all methods"),
    (dict(teacher=None), dict(hint=dict(HINT, teacher='r101')), "teacher='r101', and no teacher is given"),
])
def test_wrong_ones_are_one_sentence(teaching, methods, message):
    with pytest.raises(ValueError, match=message):
        check_methods(methods=methods, **dict(dict(teacher=None), **teaching))
