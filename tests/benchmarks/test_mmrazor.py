import importlib.util

import pytest
from mmengine.config import ConfigDict

from kddet.benchmarks.mmrazor import measure_mmrazor, models
from kddet.testing import tiny_detector

INSTALLED = importlib.util.find_spec('mmrazor') is not None


@pytest.mark.skipif(not INSTALLED, reason='mmrazor is not installed')
def test_both_tools_compute_the_same_losses_and_are_timed():
    detectors = (ConfigDict(tiny_detector('retinanet', width)) for width in (8, 8))
    row = measure_mmrazor(*models(*detectors, 'cpu'), batch=2, height=64, width=64, iters=1, device='cpu')
    assert row['mmrazor'] > 0 and row['kddet'] > 0


@pytest.mark.skipif(INSTALLED, reason='mmrazor is installed')
def test_without_it_one_sentence_says_how_to_get_it():
    with pytest.raises(ValueError, match='pip install --no-deps mmrazor==1.0.0'):
        models(*(ConfigDict(tiny_detector('retinanet')) for _ in range(2)), 'cpu')
