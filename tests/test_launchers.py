"""The launchers hand over what they are given; stand-ins for python and srun show their arguments."""
import os
import subprocess

import pytest


@pytest.fixture
def launch(repository, tmp_path):
    for name in ('python', 'srun'):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@"\n')
        (tmp_path / name).chmod(0o755)

    def launch(script, *arguments, **environment):
        done = subprocess.run([str(repository / 'tools' / script), *arguments], capture_output=True, text=True,
                              env={'PATH': f'{tmp_path}:{os.environ["PATH"]}', **environment})
        return done.returncode, done.stdout + done.stderr
    return launch


def test_training_on_one_machine(launch):
    code, said = launch('dist_train.sh', 'c.py', '4', '--amp')
    assert code == 0
    assert '-m torch.distributed.run --nnodes=1 --node-rank=0' in said and '--nproc-per-node=4' in said
    assert said.strip().endswith('tools/train.py c.py --launcher pytorch --amp')


def test_training_on_several_machines(launch):
    _, said = launch('dist_train.sh', 'c.py', '8', NNODES='2', NODE_RANK='1', MASTER_ADDR='10.1.1.1', PORT='1234')
    assert '--nnodes=2 --node-rank=1 --master-addr=10.1.1.1 --master-port=1234 --nproc-per-node=8' in said


def test_testing(launch):
    _, said = launch('dist_test.sh', 'c.py', 'a.pth', '2', '--out', 'x.pkl')
    assert said.strip().endswith('tools/test.py c.py a.pth --launcher pytorch --out x.pkl')


def test_slurm(launch):
    _, said = launch('slurm_train.sh', 'part', 'job', 'c.py', 'work', '--amp', GPUS='16', SRUN_ARGS='-x node1')
    assert said.startswith('srun -p part --job-name=job --gres=gpu:8 --ntasks=16 --ntasks-per-node=8')
    assert '-x node1 python -u' in said
    assert said.strip().endswith('tools/train.py c.py --work-dir work --launcher slurm --amp')


@pytest.mark.parametrize('script', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh'])
def test_too_few_arguments_show_the_usage(launch, script):
    code, said = launch(script, 'c.py')
    assert code == 2 and script in said
