import torch
from torch import nn

from kddet.finite import all_finite, broken_tensors


def test_one_number_is_enough():
    whole = [torch.ones(3), torch.full((2, 2), -1e38), torch.zeros(0), torch.eye(2).to_sparse()]
    assert all_finite(whole) and all_finite([])
    for broken in (float('nan'), float('inf'), -float('inf')):
        assert not all_finite([*whole, torch.tensor([1.0, broken])])
        assert not all_finite([torch.tensor([[1.0, broken]]).to_sparse()])


def test_masks_of_attention_may_be_infinite():
    model = nn.BatchNorm1d(2)
    model.register_buffer('mask', torch.full((2,), -float('inf')))
    assert broken_tensors(model) == []
    model.mask[0] = float('nan')
    model.running_mean[0] = float('inf')
    nn.init.constant_(model.bias, float('inf'))
    assert broken_tensors(model) == ['bias', 'running_mean', 'mask']
