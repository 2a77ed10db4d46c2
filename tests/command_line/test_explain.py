import pytest

from kddet import MODELS
from kddet.command_line.explain import explain
from kddet.errors import RunFailed


def raised(call):
    try:
        call()
    except Exception as error:
        return error
    raise AssertionError('nothing was raised')


def test_the_users_errors_leave_with_2_and_those_of_a_run_with_1():
    assert explain(ValueError('a is 1, it must be 2')) == ('a is 1, it must be 2', 2)
    assert explain(RunFailed('loss is nan')) == ('loss is nan', 1)
    message, code = explain(raised(lambda: open('/nowhere/file')))  # noqa: PTH123, SIM115
    assert message.startswith("'/nowhere/file': No such file or directory") and code == 2


@pytest.mark.parametrize('error', [KeyError('absent'), TypeError('a'), AttributeError('b'), AssertionError()])
def test_a_bug_is_not_explained(error):
    assert explain(error) is None


@pytest.mark.parametrize(('cfg', 'said'), [
    (dict(type='RetinaNett'), "model 'RetinaNett' is not registered (did you mean 'RetinaNet'?)"),
    (dict(type='kddet.HintLoss', nrm='l2'), "kddet.HintLoss takes no 'nrm' (did you mean 'norm'?)"),
    (dict(type='ResNet', depth=19), "ResNet cannot be built from its settings, depth=19 (KeyError: 'invalid depth"),
    (dict(type=None), "is no part that can be built: it must be a dict(type='...', ...)"),
])
def test_what_cannot_be_built_is_named(cfg, said):
    message, code = explain(raised(lambda: MODELS.build(cfg)))
    assert said in message and code == 2


def test_a_bug_in_what_is_built_is_not_explained():
    @MODELS.register_module(name='Buggy', force=True)
    class Buggy:
        def __init__(self):
            {}['absent']
    assert explain(raised(lambda: MODELS.build(dict(type='kddet.Buggy')))) is None
