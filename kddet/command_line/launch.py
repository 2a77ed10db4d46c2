"""How several processes train: what a Distiller is wrapped in, and launching without a GPU."""
from __future__ import annotations

import atexit
import os
import time
from datetime import timedelta

from mmengine.config import Config
from mmengine.device import get_device
from torch import distributed

TORCHRUN = 'RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT'
ENVIRONMENT = dict(pytorch=TORCHRUN, slurm=('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_NODELIST'),
                   mpi=('OMPI_COMM_WORLD_LOCAL_RANK', 'OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE'))
SHARDING = 'FSDPStrategy', 'DeepSpeedStrategy', 'ColossalAIStrategy'


def check_strategy(cfg: Config) -> None:
    """Refuse MMEngine's strategies that take a model's parameters apart.

    Raises:
        ValueError: names it, and what to do.
    """
    strategy = cfg.get('strategy') or {}
    kind = strategy.get('type') if isinstance(strategy, dict) else strategy
    name = kind if isinstance(kind, str) else getattr(kind, '__name__', '')
    if name.rpartition('.')[2] in SHARDING:
        raise ValueError(f'strategy {name} splits the parameters of the student over the ranks, whose checkpoint kddet '
                         'writes under the names of the plain student; take DDPStrategy, or leave runner_type and '
                         'strategy out: --launcher trains with DDP, and the teacher is in none of its buckets')


def launch_on_cpu(cfg: Config) -> None:
    """Join the process group of torchrun with gloo where there is no GPU, and wrap the model for the CPU.

    With a GPU, or without a launcher, MMEngine's own way is taken.

    Args:
        cfg: its ``launcher`` decides; a ``model_wrapper_cfg`` of its own keeps its settings.

    Raises:
        ValueError: another launcher than ``pytorch``, or one that was not started by torchrun.
    """
    launcher = cfg.get('launcher', 'none')
    if launcher == 'none':
        return
    on_cpu = get_device() == 'cpu'
    if on_cpu and launcher != 'pytorch':
        raise ValueError(f'--launcher {launcher} needs GPUs, and torch finds none; on CPUs start the tool by torchrun, '
                         'with --launcher pytorch')
    if missing := [name for name in ENVIRONMENT.get(launcher, ()) if name not in os.environ]:
        raise ValueError(f'--launcher {launcher}: {", ".join(missing)} not set in the environment; start the tool with '
                         'tools/dist_train.sh, tools/dist_test.sh or torchrun (pytorch), tools/slurm_train.sh (slurm) '
                         'or mpirun (mpi), which set them')
    if not on_cpu:
        return
    if not distributed.is_initialized():
        timeout = cfg.get('env_cfg', {}).get('dist_cfg', {}).get('timeout', 1800)
        distributed.init_process_group('gloo', timeout=timedelta(seconds=timeout))
        atexit.register(leave)
    wrapper = cfg.get('model_wrapper_cfg') or dict(
        broadcast_buffers=False, find_unused_parameters=cfg.get('find_unused_parameters', False))
    cfg.model_wrapper_cfg = {'type': 'MMDistributedDataParallel', **wrapper, 'device_ids': None}


def leave(seconds: float = 0.2) -> None:
    """Leave the process group, and let gloo's threads put down what they hold before the interpreter ends.

    A thread of gloo drops the tensors of a collective after the collective has returned, and needs the GIL to do so:
    where Python is ending by then, the process aborts ("terminate called without an active exception"). Nothing
    tells when a thread is through, and the groups that DDP has used are never destructed, so it is given time.

    Args:
        seconds: for which this thread sleeps, without the GIL.
    """
    if distributed.is_initialized():
        try:
            distributed.destroy_process_group()
        finally:
            time.sleep(seconds)
