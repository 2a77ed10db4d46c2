"""What every tool shares: its parser, MMDet's common flags, and errors of the user's input as one sentence."""
from __future__ import annotations

import argparse
import math
import os
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch
from mmengine.config import Config, DictAction

from kddet.options import near
from kddet.teachers.settings import NAME

from .explain import explain
from .termination import orderly_termination


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, and near names, in place of the whole usage."""

    def error(self, message: str) -> NoReturn:
        flags = [flag for action in self._actions for flag in action.option_strings]
        wrong = message.partition('unrecognized arguments: ')[2].split(' ')[0]
        raise ValueError(f'{message}{near(wrong, flags)}; {Path(self.prog).name} --help lists what it takes')


class Settings(DictAction):
    """``key=value ...`` as MMEngine reads them; what it cannot read is named."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any,
                 option_string: str | None = None) -> None:
        for text in values:
            try:
                super().__call__(parser, namespace, [text], option_string)
            except (ValueError, RecursionError, AssertionError):
                raise argparse.ArgumentError(self, f'{text!r} cannot be read, write key=value, nested keys with dots, '
                                             'lists as "[a,b]"; anything else belongs in a config file') from None


def main_guard(main: Callable[[], None]) -> None:
    """Run ``main``; a user's error is one message on stderr and exit code 2, that of a run exit code 1.

    A bug shows its traceback. ``KDDET_TRACEBACK=1`` shows that of the others.
    """
    quiet()
    try:
        with orderly_termination():
            main()
    except Exception as error:
        found = explain(error)
        if found is None or os.environ.get('KDDET_TRACEBACK') == '1':
            raise
        message, code = found
        sys.stdout.flush()
        print(f'error: {message}\n(KDDET_TRACEBACK=1 shows where this was raised)', file=sys.stderr)
        sys.exit(code)


def add_host_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags that MMDet's train.py and test.py have in common."""
    parser.add_argument('--work-dir', help='folder for logs and checkpoints (default: work_dirs/<config name>)')
    parser.add_argument('--cfg-options', nargs='+', action=Settings,
                        help='override settings of the config: key=value, nested keys with dots, lists as "[a,b]"')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def add_device_argument(parser: argparse.ArgumentParser) -> None:
    """``--device``, one that torch can use."""
    parser.add_argument('--device', type=_device, default='cuda' if torch.cuda.is_available() else 'cpu',
                        help='default: %(default)s')


def positive(text: str) -> int:
    """A whole number of 1 or more, as the ``type`` of an argument."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f'{text!r} is not a whole number of 1 or more')
    return int(text)


def natural(text: str) -> int:
    """A whole number of 0 or more, as the ``type`` of an argument."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f'{text!r} is not a whole number of 0 or more')
    return int(text)


def share(text: str) -> float:
    """A number from 0 to 1, as the ``type`` of an argument."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f'{text!r} is not a number from 0 to 1')
    return value


def spread(arguments: Sequence[str], *flags: str, name: re.Pattern = NAME) -> list[str]:
    """``FLAG a=FILE b=FILE`` as ``FLAG a=FILE FLAG b=FILE``, so that a file which follows is not taken for one more.

    Args:
        name: what stands before ``=``.
    """
    found: list[str] = []
    for argument in arguments:
        if len(found) > 1 and found[-2] in flags and _has_name(found[-1], name) and _has_name(argument, name):
            found.append(found[-2])
        found.append(argument)
    return found


def named_files(given: Sequence[str] | None, flag: str) -> str | dict[str, str] | None:
    """What a flag that is given once or more often says: a file, or files by their names.

    Args:
        given: ``['FILE']`` or ``['name=FILE', ...]``; what is there as a file is one, whatever its name.
        flag: for messages.

    Raises:
        ValueError: several files of which some have no name, or the same.
    """
    if not given or len(given) == 1 and not _has_name(given[0]):
        return given[0] if given else None
    if plain := [text for text in given if not _has_name(text)]:
        raise ValueError(f'{flag} is given {" ".join(given)}: among several, {plain[0]!r} needs a name, as in {flag} '
                         f'name={plain[0]}')
    files = dict(text.split('=', 1) for text in given)
    if len(files) < len(given):
        raise ValueError(f'{flag} is given {" ".join(given)}: every name once')
    return files


def work_dir_of(args: argparse.Namespace, cfg: Config) -> str:
    """The command line first, then the config, then the name of the config file, and of methods on the command line."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    methods = '+'.join(method.partition('=')[0] for method in getattr(args, 'method', None) or ())
    if args.work_dir:
        return args.work_dir
    if own := cfg.get('work_dir'):  # the plain detector's; a run of methods has one beside it
        return f'{own.rstrip("/")}_{methods}' if methods else own
    return os.path.join('work_dirs', '_'.join(filter(None, [methods, Path(args.config).stem])))


def check_folder(path: str | Path, what: str) -> None:
    """Create a folder to write to, before the work whose results it takes.

    Raises:
        ValueError: it cannot be created or written to.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
        problem = None if os.access(path, os.W_OK) else 'no permission to write'
    except OSError as error:
        problem = 'it is a file' if Path(path).is_file() else error.strerror
    if problem:
        raise ValueError(f'{what} {str(path)!r} cannot be written to ({problem}); give another folder')


def check_file(path: str | Path, what: str) -> None:
    """Create the folder of a file to write.

    Raises:
        ValueError: it cannot be written.
    """
    if Path(path).is_dir():
        raise ValueError(f'{what} {str(path)!r} is a folder; give the name of a file')
    check_folder(Path(path).parent, f'the folder of {what}')


def quiet() -> None:
    """Silence the host's deprecation warnings, which number in the dozens on a modern torch."""
    for category in (DeprecationWarning, FutureWarning, PendingDeprecationWarning):
        warnings.filterwarnings('ignore', category=category)
    warnings.filterwarnings('ignore', message='.*(torch.jit|meshgrid|checkpoint|pkg_resources).*')


def _has_name(text: str, pattern: re.Pattern = NAME) -> bool:
    """Whether it is ``name=FILE``, and not a file with such a name, or an address."""
    name, sign, _ = text.partition('=')
    return bool(sign and pattern.fullmatch(name)) and not os.path.exists(text)


def _device(text: str) -> str:
    try:
        torch.empty(0, device=text)
    except (RuntimeError, AssertionError) as error:
        gpus = ', '.join(f'cuda:{index}' for index in range(torch.cuda.device_count()))
        raise argparse.ArgumentTypeError(f'{text!r} cannot be used here; there is cpu{gpus and ", " + gpus}') from error
    return text
