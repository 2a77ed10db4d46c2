"""A teacher that is a file, through the command line."""
import cv2
import pytest
import torch
from mmengine.registry import MODELS
from torch import nn

from kddet.checkpoint import load_checkpoint


class Head(nn.Module):
    def __init__(self, detector):
        super().__init__()
        self.detector = detector

    def forward(self, images):
        maps = self.detector.bbox_head(self.detector.extract_feat(images))
        return dict(zip(('cls', 'reg'), map(tuple, maps)))


pytestmark = pytest.mark.slow


@pytest.fixture
def run(fork, plain_config, tmp_path):
    """The student's config and a model's file lie in the folder."""
    plain_config.dump(tmp_path / 'student.py')
    torch.jit.trace(nn.Sequential(nn.Conv2d(3, 16, 8, 8), nn.ReLU()), torch.rand(1, 3, 64, 64)).save(
        tmp_path / 'teacher.torchscript')

    def run(*command):
        output = tmp_path / 'output'
        assert fork(*command, folder=tmp_path, output=output) == 0, output.read_text()
        return output.read_text()
    return run


def test_one_argument_distils_from_a_file(run, plain_config, tmp_path):
    arguments = 'student.py', '--teacher', 'teacher.torchscript', '--method', 'hint'
    report = run('train.py', *arguments, '--dry-run')
    for line in (' learns from teacher.torchscript by hint', 'ok    teacher        teacher.torchscript, sha256 ',
                 'gives neck (1 level)', 'note  accuracy       not measured: the teacher teacher.torchscript',
                 'ok    classes ', 'note  input          normalised as for the student', 'neck, stride 8: ',
                 'teacher teacher.torchscript (no head)', '  go: '):
        assert line in report, report
    run('train.py', *arguments, '--work-dir', 'work')
    saved = load_checkpoint(tmp_path / 'work/epoch_2.pth')['state_dict']
    student = {key: value for key, value in saved.items() if not key.startswith('distiller.')}
    MODELS.build(plain_config.model).load_state_dict(student)
    assert {key for key in saved if key not in student} == {
        f'distiller.methods.hint.adapters.0.project.{name}' for name in ('weight', 'bias')}


def test_what_it_finds_is_measured_and_drawn(run, plain_config, tmp_path):
    detector = MODELS.build(plain_config.model).eval()
    nn.init.constant_(detector.bbox_head.retina_cls.bias, 0)
    torch.save(dict(state_dict=detector.state_dict()), tmp_path / 'student.pth')
    torch.jit.trace(Head(detector), torch.rand(1, 3, 64, 64), strict=False).save(tmp_path / 'maps.torchscript')
    run('train.py', 'student.py', '--teacher', 'maps.torchscript', '--method', 'adl', '--dump-config', 'distil.py')
    report = run('train.py', 'distil.py', '--dry-run', '--min-teacher-map', '0', '--preflight-images', '4')
    assert 'the teacher has mAP 0.' in report
    out = run('visualize.py', 'compare', 'distil.py', 'student.pth', '--out', 'beside', '--number', '1')
    (picture,) = (tmp_path / 'beside').glob('*.png')
    assert cv2.imread(str(picture)).shape[1] == 3 * 480 + 12 and 'left out' not in out
    run('train.py', 'student.py', '--teacher', 'teacher.torchscript', '--method', 'hint', '--dump-config', 'hint.py')
    out = run('visualize.py', 'compare', 'hint.py', 'student.pth', '--out', 'without', '--number', '1')
    assert 'the teacher is left out: the teacher teacher.torchscript gives neck (1 level) and no detections' in out


def test_what_can_be_tapped_of_a_file_meets_the_student(run):
    out = run('inspect_model.py', 'student.py', '--teacher', 'teacher.torchscript')
    assert 'stride 8: student' in out and 'teacher level 0 with 16 channels, stride 8' in out
    assert 'mmengine' not in out and 'Warning' not in out
