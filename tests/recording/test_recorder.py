import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from kddet import Recorder
from kddet.recording.recorder import resolve_tap


class Heads(nn.Module):
    """A neck that returns two levels, and a head that is called once a level."""

    def __init__(self):
        super().__init__()
        self.neck = nn.ModuleDict(dict(split=_Split()))
        self.head = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True))

    def forward(self, x):
        return [self.head(level) for level in self.neck['split'](x, stride=2)]


class _Split(nn.Module):
    def forward(self, x, stride):
        return x, x[..., ::stride, ::stride]


def test_one_call_of_two_levels_and_two_calls_of_one_look_alike():
    model = Heads()
    with Recorder(model, ['neck.split', 'head']) as records:
        model(torch.rand(2, 3, 8, 8))
    assert [tuple(level.shape) for level in records.pyramid('neck.split')] == [(2, 3, 8, 8), (2, 3, 4, 4)]
    assert [tuple(level.shape) for level in records.pyramid('head')] == [(2, 4, 8, 8), (2, 4, 4, 4)]


def test_inputs_are_recorded_by_position_and_by_name():
    model, x = Heads(), torch.rand(1, 3, 4, 4)
    with Recorder(model, ['neck.split']) as records:
        model(x)
    (call,) = records['neck.split']
    assert call.args[0] is x and call.kwargs == dict(stride=2)


def test_hooks_live_only_inside_even_when_the_forward_fails():
    model = Heads()
    with pytest.raises(RuntimeError), Recorder(model, ['head', 'neck.split']):
        model(torch.rand(1, 7, 4, 4))
    assert not any(module._forward_hooks for module in model.modules())


def test_outputs_keep_their_gradient():
    model = Heads()
    with Recorder(model, ['head']) as records:
        model(torch.rand(1, 3, 4, 4))
    sum(level.sum() for level in records.pyramid('head')).backward()
    assert model.head[0].weight.grad is not None


def test_output_overwritten_in_place_is_refused():
    model = Heads()
    with Recorder(model, ['head.0']) as records:
        model(torch.rand(1, 3, 4, 4))
    with pytest.raises(RuntimeError, match="overwritten in place .* tap its parent 'head'"):
        records.pyramid('head.0')


def test_a_tap_that_was_not_called_says_so():
    model = Heads()
    with Recorder(model, ['head']) as records:
        pass
    with pytest.raises(RuntimeError, match='was not called'):
        records.pyramid('head')


def test_a_tap_that_was_not_asked_for_says_so():
    with Recorder(Heads(), ['head'], 'teacher') as records:
        pass
    with pytest.raises(ValueError, match=r"'neck' of the teacher is read but was not asked for.*recorded: head"):
        records.pyramid('neck')


def test_inside_reentrant_checkpointing_is_refused():
    model, x = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU()), torch.rand(1, 3, 4, 4, requires_grad=True)
    with pytest.raises(RuntimeError, match='reentrant activation checkpointing'), Recorder(model, ['0']):
        checkpoint(model, x, use_reentrant=True)


@pytest.mark.parametrize(('tap', 'message'), [
    ('neck.splt', 'neck has split; near matches: neck.split'),
    ('tail', 'it has neck, head'),
    ('', "tap '' is not in the student"),
    ('head.0.conv', 'head.0 has no submodules'),
])
def test_a_tap_that_does_not_exist_lists_what_is_there(tap, message):
    with pytest.raises(ValueError, match=message):
        resolve_tap(Heads(), tap, 'student')


def test_an_input_tap_gives_what_a_submodule_took():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True), nn.Linear(4, 2))
    with Recorder(model, ['2:input', '2']) as records:
        out = model(torch.randn(5, 3))
    assert records.pyramid('2:input')[0].shape == (5, 4) and (records.pyramid('2:input')[0] >= 0).all()
    assert torch.equal(records.pyramid('2')[0], out)
    with pytest.raises(ValueError, match="tap '3:input' is not in the student"):
        Recorder(model, ['3:input'], 'student')
