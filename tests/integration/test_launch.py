"""torchrun on the CPU, through tools/train.py: two machines of one process are one machine of two."""
import os
import socket
import subprocess
import sys

import pytest
import torch

pytestmark = [pytest.mark.slow, pytest.mark.skipif(torch.cuda.is_available(), reason='one GPU is not two')]


def free_port():
    with socket.socket() as found:
        found.bind(('127.0.0.1', 0))
        return found.getsockname()[1]


@pytest.fixture
def launch(repository, distilled_config, tmp_path):
    config = tmp_path / 'config.py'
    distilled_config.dump(config)

    def start(work_dir, processes, nodes, rank, port, options):
        return subprocess.Popen(
            [sys.executable, '-m', 'torch.distributed.run', f'--nnodes={nodes}', f'--node-rank={rank}',
             '--master-addr=127.0.0.1', f'--master-port={port}', f'--nproc-per-node={processes}',
             str(repository / 'tools/train.py'), str(config), '--launcher', 'pytorch', '--work-dir', str(work_dir),
             '--preflight-images', '0',  # the teacher is not trained
             '--cfg-options', 'train_dataloader.batch_size=2', 'randomness.seed=0', *options],
            env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(repository)}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def launch(name, processes, nodes, *options):
        port = free_port()
        started = [start(tmp_path / name, processes, nodes, rank, port, options) for rank in range(nodes)]
        said = [process.communicate(timeout=500)[0] for process in started]
        assert not any(process.returncode for process in started), '\n'.join(said)
        return torch.load(tmp_path / name / 'epoch_2.pth', weights_only=True)
    return launch


def test_two_machines_are_two_processes(launch):
    one, two = launch('one', 2, 1), launch('two', 1, 2)
    assert two['meta']['iter'] == 4  # 8 pictures in two epochs, 2 a rank
    assert all(torch.equal(one['state_dict'][key], value) for key, value in two['state_dict'].items())


def test_ranks_share_one_cache_and_train_as_with_a_live_teacher(launch, tmp_path):
    """Pictures move from rank to rank between epochs; what one wrote the other reads."""
    live = launch('live', 2, 1)
    cached = launch('cached', 2, 1, f'model.teacher.cache.dir={tmp_path / "cache"}')
    assert all(torch.equal(live['state_dict'][key], value) for key, value in cached['state_dict'].items())
    assert 8 <= len(list((tmp_path / 'cache').rglob('*.safetensors'))) <= 16  # of 8 pictures, flipped or not
