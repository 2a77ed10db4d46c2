import pytest
from mmengine.config import Config

from kddet.benchmarks import teacher_options
from kddet.benchmarks.teacher_options import measure_options
from kddet.project.overlay import distillation_config
from kddet.testing import tiny_detector


def measured(teacher):
    cfg = distillation_config(Config(dict(model=tiny_detector('retinanet'))), teacher=teacher,
                              methods=dict(hint=dict(type='kddet.HintLearning')))
    return measure_options(cfg, 'x', batch=1, height=64, width=64, iters=1, device='cpu')


def test_exact_options_change_next_to_nothing_and_half_precision_a_little(monkeypatch):
    """Compiling takes a minute; the other options are measured alike."""
    monkeypatch.setattr(teacher_options, 'OPTIONS', {
        name: option for name, option in teacher_options.OPTIONS.items() if 'compile' not in option})
    rows = {row['option']: row for row in measured(dict(config=dict(model=tiny_detector('retinanet', 16)),
                                                        checkpoint=None))}
    assert rows['channels_last']['change'] < 1e-5 < rows['bfloat16']['change'] < 0.1
    assert all(row['ratio'] > 0 and row['shape'] == [1, 64, 64] and not row['trained'] for row in rows.values())


@pytest.mark.parametrize('teacher', [None, dict(type='kddet.ExternalTeacher', model='x.onnx')])
def test_a_config_without_a_teacher_that_has_options_is_refused(teacher):
    with pytest.raises(ValueError, match='x has no teacher that is a detector of MMDet, there are no options of it'):
        measured(teacher)
