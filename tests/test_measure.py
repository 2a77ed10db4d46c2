import time

import torch

from kddet.measure import median_seconds, peak_memory


def test_peak_is_what_was_taken_at_once():
    def call():
        first = torch.ones(20 * 2**18)  # 20 MiB
        del first
        return torch.ones(30 * 2**18)
    assert 25 < peak_memory(call, 'cpu') < 60


def test_each_in_turn():
    calls = []
    measured = dict(a=lambda: calls.append('a'), b=lambda: (calls.append('b'), time.sleep(0.01)))
    seconds = median_seconds(measured, 2, 'cpu')
    assert calls == ['a', 'b'] * 3 and seconds['b'] > 0.009 > seconds['a']
