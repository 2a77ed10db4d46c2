import pytest
from mmengine.config import Config

from kddet.benchmarks.scaling import measure_scaling
from kddet.project.overlay import distillation_config
from kddet.testing import tiny_detector


@pytest.mark.slow
def test_two_processes_do_more_than_one_and_not_more_than_two():
    """With room for the noise of a tiny step on a busy machine."""
    cfg = distillation_config(Config(dict(model=tiny_detector('fcos'))), methods=dict(
        hint=dict(type='kddet.HintLearning')), teacher=dict(config=dict(model=tiny_detector('fcos', 16)),
                                                            checkpoint='nowhere.pth'))
    row = measure_scaling(cfg, 'x', batch=1, height=64, width=96, iters=3)
    assert 0.05 < row['efficiency'] < 2 and row['shape'] == [1, 64, 96] and row['threads'] >= 1
