"""Where and when something was measured."""
from __future__ import annotations

from datetime import date

import torch

from kddet.studies.runs import hardware


def where(device: str, threads: int | None = None) -> dict:
    """For a row: the device, the machine, its threads and the day."""
    return dict(device='cpu' if device == 'cpu' else torch.cuda.get_device_name(device),
                threads=threads or torch.get_num_threads(), machine=f'{hardware()}, torch {torch.__version__}',
                date=date.today().isoformat())
