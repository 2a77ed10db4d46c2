import time

import pytest
import torch

from kddet.benchmarks.measure import median_seconds, peak_memory


def test_peak_is_what_was_taken_at_once():
    def call():
        first = torch.ones(20 * 2**18)  # 20 MiB
        second = first + 1
        del first, second
        return torch.ones(30 * 2**18)
    assert [peak_memory(call, 'cpu') for _ in range(3)] == pytest.approx([40] * 3, abs=0.01)


def test_backward_passes_are_seen():
    weight = torch.ones(2**18, requires_grad=True)

    def call():
        weight.grad = None
        weight.square().sum().backward()
    call()
    assert 2 <= peak_memory(call, 'cpu') < 4.5


def test_each_in_turn():
    calls = []
    measured = dict(a=lambda: calls.append('a'), b=lambda: (calls.append('b'), time.sleep(0.01)))
    seconds = median_seconds(measured, 2, 'cpu')
    assert calls == ['a', 'b'] * 3 and seconds['b'] > 0.009 > seconds['a']
