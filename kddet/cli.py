"""What every tool shares: MMDet's common flags, and errors of the user's input as one sentence."""
from __future__ import annotations

import argparse
import os
import pickle
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from mmengine.config import Config, DictAction

from kddet.checkpoint import refusal_reason
from kddet.errors import RunFailed

USER_ERRORS = (ValueError, FileNotFoundError, ImportError)


def main_guard(main: Callable[[], None]) -> None:
    """Run ``main``; a user's error is one message on stderr and exit code 2, that of a run exit code 1.

    ``KDDET_TRACEBACK=1`` shows it whole.
    """
    quiet()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `finally` clauses run
    try:
        main()
    except pickle.UnpicklingError as error:
        _leave(error, f'the checkpoint is refused: {refusal_reason(error)}')
    except KeyError as error:
        if 'registry' not in str(error):  # a misspelt type is the user's; any other missing key shows its traceback
            raise
        _leave(error, str(error.args[0]))
    except USER_ERRORS as error:
        _leave(error, str(error))
    except RunFailed as error:
        _leave(error, str(error), code=1)


def add_host_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags that MMDet's train.py and test.py have in common."""
    parser.add_argument('--work-dir', help='folder for logs and checkpoints (default: work_dirs/<config name>)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction,
                        help='override settings of the config: key=value, nested keys with dots, lists as "[a,b]"')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def work_dir_of(args: argparse.Namespace, cfg: Config) -> str:
    """The command line first, then the config, then the name of the config file, and of methods on the command line."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    methods = '+'.join(getattr(args, 'method', None) or ())
    if args.work_dir:
        return args.work_dir
    if own := cfg.get('work_dir'):  # the plain detector's; a run of methods has one beside it
        return f'{own.rstrip("/")}_{methods}' if methods else own
    return os.path.join('work_dirs', '_'.join(filter(None, [methods, Path(args.config).stem])))


def quiet() -> None:
    """Silence the host's deprecation warnings, which number in the dozens on a modern torch."""
    for category in (DeprecationWarning, FutureWarning, PendingDeprecationWarning):
        warnings.filterwarnings('ignore', category=category)
    warnings.filterwarnings('ignore', message='.*(torch.jit|meshgrid|checkpoint|pkg_resources).*')


def _leave(error: BaseException, message: str, code: int = 2) -> None:
    if os.environ.get('KDDET_TRACEBACK') == '1':
        raise error
    print(f'error: {message}\n(KDDET_TRACEBACK=1 shows where this was raised)', file=sys.stderr)
    sys.exit(code)
