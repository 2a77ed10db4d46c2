import pytest
import torch
from mmengine.registry import MODELS

from kddet.cache.flips import flipped, others
from kddet.testing import toy_samples

SIDES = dict(horizontal=[2], vertical=[1], diagonal=[1, 2])


def preprocessed(direction=None):
    """Pictures flipped as the pipeline does it, before they are normalised and padded."""
    batch = toy_samples()
    batch['inputs'] = [image.flip(SIDES[direction]) if direction else image for image in batch['inputs']]
    preprocessor = MODELS.build(dict(type='mmdet.DetDataPreprocessor', mean=[123.675, 116.28, 103.53],
                                     std=[58.395, 57.12, 57.375], bgr_to_rgb=True, pad_size_divisor=32, pad_value=7))
    data = preprocessor(batch, True)
    return data['inputs'], data['data_samples']


@pytest.mark.parametrize('now', [None, *SIDES])
@pytest.mark.parametrize('then', [None, *SIDES])
def test_a_flip_is_what_the_pipeline_gives_bit_for_bit(now, then):
    inputs, samples = preprocessed(now)
    before = inputs.clone()
    assert torch.equal(flipped(inputs, samples, [now] * 2, [then] * 2), preprocessed(then)[0])
    assert torch.equal(inputs, before)


def test_every_picture_comes_by_every_flip():
    flips = (None, 'horizontal', 'vertical')
    further = others(flips, ['vertical', None])
    assert len(further) == 2
    assert all({own, *rest} == set(flips) for own, rest in zip(['vertical', None], zip(*further), strict=True))
    assert others((None,), [None, None]) == []
