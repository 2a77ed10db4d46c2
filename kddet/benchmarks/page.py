"""The page of what was measured: docs/benchmarks.md, from the rows in results/benchmarks/ alone."""
from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from .mmrazor import mmrazor_table
from .scaling import scaling_table
from .step import Cost, table
from .teacher_options import options_table

HEAD = """# What distillation costs

Written by `tools/make_results.py` from the rows in `results/benchmarks/`, which the tools named below append with
`--json FILE`. Everything is measured side by side, in turn; weights are random unless it is said, pictures are noise.
On a CPU only ratios mean anything."""


class Kind(NamedTuple):
    """One sort of row."""
    title: str
    text: str
    which: tuple[str, ...]  # a later row that agrees in these takes an earlier one's place
    table: Callable[[list[dict]], str]


KINDS = dict(
    step=Kind(
        'A step', "The plain student's step (a), the teacher's forward as deep as the methods read it, or the label "
        "encoder's (b), the whole distillation step (c), and what is left of it for the methods' own terms "
        "(d = c - a - b). Memory is the step's peak, in tensors, over the plain student's with the recorded maps. "
        '`tools/benchmark.py CONFIG...`',
        ('config', 'shape', 'amp', 'cache'), lambda rows: table([Cost.of(row) for row in rows])),
    mmrazor=Kind(
        'Beside MMRazor 1.0.0', 'The same detectors with the same weights, the same L2 on the neck, the same batch; '
        'both losses are compared before anything is timed. `tools/benchmark_mmrazor.py`',
        ('student', 'teacher', 'shape'), mmrazor_table),
    teacher=Kind(
        'Options of the teacher', 'Its forward with an option over its forward without, and how far that moves what '
        'the methods read: the norm of the difference over the norm. `tools/benchmark_teacher.py CONFIG`',
        ('config', 'shape', 'trained', 'option'), options_table),
    scaling=Kind(
        'Two processes', 'Pictures a second of two processes over twice those of one, with as many threads each and '
        'as many pictures. `tools/benchmark_scaling.py CONFIG`', ('config', 'shape'), scaling_table))


def read_rows(files: Iterable[Path]) -> list[dict]:
    """What ``--json`` wrote; of two rows of one thing on one machine the later one."""
    rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return list({(row['kind'], *_machine(row), *(str(row[key]) for key in KINDS[row['kind']].which)): row
                 for row in rows}.values())


def page(rows: list[dict], findings: str = '') -> str:
    """The whole text: what it says, then a section a kind, a table a machine."""
    parts = [HEAD, *([f'## What it says\n\n{findings.strip()}'] if findings else [])]
    for name, kind in KINDS.items():
        machines: dict[tuple, list[dict]] = {}
        for row in rows:
            if row['kind'] == name:
                machines.setdefault(_machine(row), []).append(row)
        if machines:
            parts.append(f'## {kind.title}\n\n{kind.text}')
        for (device, machine, threads), own in machines.items():
            days = sorted({row['date'] for row in own})
            where = f'{threads} thread{"s" if threads > 1 else ""}' if device == 'cpu' else device
            parts += [kind.table(own), f'{where}, {machine}; medians of {min(row["iters"] for row in own)} or more; '
                      f'{" to ".join(dict.fromkeys((days[0], days[-1])))}.']
    return '\n\n'.join(parts) + '\n'


def _machine(row: dict) -> tuple[str, str, int]:
    return row['device'], row['machine'], row['threads']
