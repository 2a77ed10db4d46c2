"""What the tools that measure take."""
from __future__ import annotations

import argparse
import json
from pathlib import Path

from kddet.command_line.memory import keep_freed_memory
from kddet.command_line.parser import add_device_argument, check_file, positive, quiet


def add_arguments(parser: argparse.ArgumentParser, device: bool = True) -> None:
    """``--shape``, ``--batch``, ``--iters``, ``--json``, and ``--device`` unless it is the CPU."""
    if device:
        add_device_argument(parser)
    parser.add_argument('--shape', nargs=2, type=positive, default=(512, 512), metavar=('HEIGHT', 'WIDTH'),
                        help='of the batch, in pixels (default: 512 512)')
    parser.add_argument('--batch', type=positive, default=2, help='pictures (default: %(default)s)')
    parser.add_argument('--iters', type=positive, default=5,
                        help='measured, after one to warm up (default: %(default)s)')
    parser.add_argument('--json', type=_new_or_file, metavar='FILE', help='append the rows, one a line')


def begin(args: argparse.Namespace) -> None:
    """No warnings of the host's; on a CPU, freed memory is kept, as ``tools/train.py`` does it."""
    quiet()
    if getattr(args, 'device', 'cpu') == 'cpu':
        keep_freed_memory()


def of_batch(args: argparse.Namespace) -> dict[str, int]:
    """``batch``, ``height``, ``width`` and ``iters``."""
    return dict(batch=args.batch, height=args.shape[0], width=args.shape[1], iters=args.iters)


def finish(args: argparse.Namespace, rows: list[dict], table: str) -> None:
    """Append what was measured, and print it."""
    for row in rows:
        append_row(args.json, row)
    print(f'{rows[0]["machine"]}, {rows[0]["threads"]} threads, medians of {args.iters}:\n\n{table}')


def append_row(file: Path | None, row: dict) -> None:
    """To the file of ``--json``, if there is one."""
    if file:
        with file.open('a') as out:
            out.write(json.dumps(row) + '\n')


def _new_or_file(text: str) -> Path:
    try:
        check_file(Path(text), 'the file')
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return Path(text)
