from functools import partial

import pytest

from kddet.methods import FineGrainedImitation, HintLearning
from kddet.options import near, wrong_option


@pytest.mark.parametrize(('options', 'said'), [
    (dict(tapp='neck'), "it takes no 'tapp' (did you mean 'tap'?); it takes"),
    (dict(something=1), "it takes no 'something'; it takes tap, teacher_tap"),
    (dict(loss_weight='heavy'), "loss_weight of it is 'heavy', it must be a number"),
    (dict(loss_weight=True), 'it must be a number'),
    (dict(levels=3), 'levels of it is 3, it must be a list (each item a whole number) or None'),
    (dict(levels=['P3']), "levels of it is ['P3'], it must be a list"),
    (dict(tap=3), 'tap of it is 3, it must be a text'),
    (dict(adapter='conv'), "adapter of it is 'conv', it must be a dict(...) or None"),
])
def test_the_first_wrong_option_is_named(options, said):
    assert said in wrong_option(HintLearning, options, 'it')


def test_right_options_are_let_through():
    assert wrong_option(HintLearning, dict(loss_weight=1, levels=(0, 1), adapter=None, tap='neck'), 'it') is None
    assert wrong_option(FineGrainedImitation, dict(legacy=True, threshold_factor=0.3), 'it') is None


def test_what_takes_anything_is_left_alone():
    def own(first, *more, flag: 'NotThere' = None, **others):  # noqa: F821
        ...
    assert wrong_option(own, dict(first=1, flag=object(), another=2), 'it') is None
    assert wrong_option(own, dict(flag=1), 'it') == 'it needs first, which the config does not give'


def test_options_that_are_given_already_are_none_to_give():
    kind = partial(HintLearning, 'neck')
    assert 'it takes no \'tap\'; it takes teacher_tap' in wrong_option(kind, dict(tap='neck'), 'it')
    assert 'must be a number' in wrong_option(kind, dict(loss_weight='heavy'), 'it')


def test_near_names():
    assert near('fgif', ['adl', 'fgfi']) == " (did you mean 'fgfi'?)" and near('x', ['adl']) == ''
