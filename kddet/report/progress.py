"""How far a training came, of what its config wants."""
from __future__ import annotations

import re

from mmengine.config import Config

from kddet.project.run_log import log_entries

from .run_folder import RunFolder

INTERVAL = 10  # iterations between two lines of the log, by default


def planned(cfg: Config) -> tuple[int | None, str]:
    """How many, and of what."""
    loop = cfg.get('train_cfg') or {}
    return (loop['max_iters'], 'iterations') if 'max_iters' in loop else (loop.get('max_epochs'), 'epochs')


def unfinished(run: RunFolder) -> str:
    """``'1 of 5 epochs, interrupted or still running'``; empty where the training is over, or left nothing to tell."""
    wanted, unit = planned(run.cfg)
    reached = _reached(run, unit)
    if wanted is None or reached is None or reached >= wanted:
        return ''
    early = any('EarlyStopping' in str(hook.get('type')) for hook in run.cfg.get('custom_hooks') or ())
    return f'{reached} of {wanted} {unit}, {"stopped early, " if early else ""}interrupted or still running'


def _reached(run: RunFolder, unit: str) -> int | None:
    """By checkpoints, validations and the log of training, whichever goes furthest."""
    kind = 'iter' if unit == 'iterations' else 'epoch'
    found = [int(name[1]) for file in run.path.glob(f'{kind}_*.pth')
             if (name := re.fullmatch(r'[a-z]+_(\d+)', file.stem))]
    entries = log_entries(run.path)
    trained = [entry for entry in entries if 'iter' in entry]
    if unit == 'iterations':
        found += [_rounded(entry['iter'], run.cfg.train_cfg['max_iters'], run) for entry in trained[-1:]]
    elif trained:
        found += [entry['step'] for entry in entries if 'iter' not in entry and 'step' in entry and run.log.by_epoch]
        found.append(_epochs(run, trained[-1].get('epoch', 1)))
    return max(found, default=None)


def _epochs(run: RunFolder, begun: int) -> int:
    """Those that are over, where the log's last line is of the epoch ``begun``."""
    lines = re.findall(r'Epoch\(train\)\s+\[\s*(\d+)\]\[\s*(\d+)/(\d+)\]', run.text)
    last = next((line for line in reversed(lines) if int(line[0]) == begun), None)
    over = last is not None and _rounded(int(last[1]), int(last[2]), run) == int(last[2])
    return begun if over else begun - 1


def _rounded(logged: int, last: int, run: RunFolder) -> int:
    """The last iterations, fewer than lie between two lines of the log, are not logged."""
    hook = (run.cfg.get('default_hooks') or {}).get('logger') or {}
    return last if logged > last - hook.get('interval', INTERVAL) else logged
