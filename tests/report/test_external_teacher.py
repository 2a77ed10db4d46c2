"""A teacher that is a file, as a column of the page."""
import pytest
import torch
from mmengine.registry import MODELS
from torch import nn

from kddet.project.overlay import distillation_config
from kddet.report import make_report

from .test_other_classes import rows_of

pytestmark = pytest.mark.slow


class Maps(nn.Module):
    def __init__(self, detector, words):
        super().__init__()
        self.detector, self.words = detector, words

    def forward(self, images):
        neck = self.detector.extract_feat(images)
        cls, reg = self.detector.bbox_head(neck)
        return {word: tuple(maps) for word, maps in dict(cls=cls, reg=reg, neck=neck).items() if word in self.words}


@pytest.fixture(scope='module')
def run_of(plain_config, leave_behind, tmp_path_factory):
    """The work dir of a run, taught by what a detector gives, or by the detector itself."""
    folder = tmp_path_factory.mktemp('external')
    torch.manual_seed(3)
    detector = MODELS.build(plain_config.model).eval()
    nn.init.constant_(detector.bbox_head.retina_cls.bias, 0)  # it finds something
    torch.save(dict(state_dict=detector.state_dict()), folder / 'teacher.pth')
    plain_config.dump(folder / 'teacher.py')

    def run(*words):
        file = folder / f'{"-".join(words)}.torchscript'
        if words:
            torch.jit.trace(Maps(detector, words).eval(), torch.rand(1, 3, 64, 64), strict=False).save(file)
        teacher = dict(type='kddet.ExternalTeacher', model=str(file)) if words else dict(
            config=str(folder / 'teacher.py'), checkpoint=str(folder / 'teacher.pth'))
        cfg = distillation_config(plain_config, teacher=teacher, methods=dict(
            adl=dict(type='kddet.AdaptiveDistillation')) if 'cls' in words else dict(
            hint=dict(type='kddet.HintLearning')))
        return leave_behind('-'.join(words) or 'frozen', cfg, 1)
    return run


def test_it_is_measured_as_the_detector_that_it_was_exported_from(run_of, tmp_path):
    pages = [make_report([run_of(*words)], pictures=1, cache=tmp_path) for words in (('cls', 'reg'), ())]
    external, frozen = (rows_of(page, 'Figures of every detector')['teacher'] for page in pages)
    assert external == frozen and float(external[0].split()[0]) >= 0
    assert rows_of(pages[0], 'AP of every class')['zero'] == rows_of(pages[1], 'AP of every class')['zero']
    assert 'cls-reg.torchscript, sha256 ' in pages[0] and 'What is missing here' not in pages[0]


def test_features_alone_are_no_column_of_figures(run_of, tmp_path):
    page = make_report([run_of('neck')], pictures=1, cache=tmp_path)
    assert 'teacher was not measured: the teacher neck.torchscript gives neck' in page
