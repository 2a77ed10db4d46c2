"""Several teachers through the command line."""
import copy
import subprocess
import sys

import pytest
import torch
from mmengine.registry import MODELS

from kddet.checkpoint import load_checkpoint

pytestmark = pytest.mark.slow


@pytest.fixture
def train(repository, tmp_path):
    def train(*arguments):
        done = subprocess.run([sys.executable, str(repository / 'tools/train.py'), *map(str, arguments)], cwd=tmp_path,
                              capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr
    return train


def test_one_command_and_the_config_that_it_writes_train_the_same(plain_config, teacher_files, train, tmp_path):
    cfg = copy.deepcopy(plain_config)
    cfg.log_level = 'INFO'
    cfg.dump(tmp_path / 'student.py')
    smaller = MODELS.build(cfg.model)
    torch.save(dict(state_dict=smaller.state_dict()), tmp_path / 'small.pth')
    arguments = ('--method', 'near=hint,far=hint,adl', '--teacher', f'large={teacher_files[0]}', 'small=student.py',
                 '--teacher-checkpoint', f'large={teacher_files[1]}', 'small=small.pth', 'student.py',
                 '--method-options', 'near.teacher=small', 'far.teacher=large', 'adl.teacher=large',
                 '--preflight-images', '0')
    out = train(*arguments)
    for line in ('teacher        large: ', 'teacher        small: ', 'heads          small: student RetinaNet'):
        assert line in out
    assert 'loss_near: ' in out and 'loss_far: ' in out and 'loss_adl: ' in out
    train(*arguments, '--dump-config', 'distil.py')
    train('distil.py', '--work-dir', 'again', '--preflight-images', '0')
    saved, again = (load_checkpoint(tmp_path / folder / 'epoch_2.pth')['state_dict']
                    for folder in ('work_dirs/near+far+adl_student', 'again'))
    assert saved.keys() == again.keys() and all(torch.equal(value, again[key]) for key, value in saved.items())
    student = {key: value for key, value in saved.items() if not key.startswith('distiller.')}
    MODELS.build(cfg.model).load_state_dict(student, strict=True)
    assert {key.split('.')[2] for key in saved.keys() - student.keys()} == {'near', 'far'}
