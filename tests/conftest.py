import logging
import os

os.environ.setdefault('OMP_NUM_THREADS', '2')

import pytest  # noqa: E402
import torch  # noqa: E402
from mmengine.logging import MMLogger  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402

import kddet  # noqa: E402, F401
from kddet.cli import quiet  # noqa: E402

quiet()


@pytest.fixture(autouse=True)
def _reproducible():
    torch.manual_seed(0)
    init_default_scope('mmdet')
    MMLogger.get_current_instance().setLevel(logging.ERROR)


@pytest.fixture(scope='session')
def repository():
    from pathlib import Path
    return Path(__file__).parents[1]
