"""From the rows of a study to its table, its page and its plot. Nothing here is typed in by hand."""
from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from scipy.stats import t as student_t

from .plan import BASELINE
from .study import Study

NEEDED = 'pair', 'variant', 'measures'
MEASURES = dict(mAP='mAP', mAP_50='mAP50', mAP_75='mAP75')


@dataclass(frozen=True)
class Gain:
    """A variant against the baseline of the same seeds, in mAP points (0 to 100)."""
    pair: str
    variant: str
    seeds: int
    measures: dict  # mean of each of MEASURES over the seeds
    gain: float | None  # mean paired difference of mAP
    deviation: float | None  # its standard deviation
    interval: float | None  # half of the 95 % interval of the mean, by Student's t
    closed: float | None  # share of the teacher-student gap that is closed


def read_rows(path: Path) -> list[dict]:
    """The rows of a study; the last one of a run counts.

    Raises:
        ValueError: names the line that is no row.
    """
    rows = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        row = _row(line, f'{path}, line {number},')
        rows[row['pair'], row['variant'], row.get('seed')] = row
    return list(rows.values())


def _row(line: str, where: str) -> dict:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f'{where} is not json ({error}); tools/run_study.py writes the rows, one a line') from error
    if absent := [key for key in NEEDED if key not in row]:
        raise ValueError(f'{where} has no {", ".join(absent)}; tools/run_study.py writes the rows, with all of '
                         f'{", ".join(NEEDED)}')
    return row


def gains(rows: list[dict]) -> list[Gain]:
    """One :class:`Gain` for each variant, pair by pair in the order of the rows; baselines have no gain."""
    pairs = list(dict.fromkeys(row['pair'] for row in rows))
    found = dict.fromkeys((row['pair'], row['variant']) for row in rows)
    return [_gain(rows, pair, variant) for pair, variant in sorted(found, key=lambda name: pairs.index(name[0]))]


def _gain(rows: list[dict], pair: str, variant: str) -> Gain:
    own = {row.get('seed'): row for row in rows if (row['pair'], row['variant']) == (pair, variant)}
    baseline = {row['seed']: row for row in rows if (row['pair'], row['variant']) == (pair, BASELINE)}
    teacher = next((row for row in rows if (row['pair'], row['variant']) == (pair, 'teacher')), None)
    differences = [] if variant in ('teacher', BASELINE) else [
        100 * (row['measures']['mAP'] - baseline[seed]['measures']['mAP'])
        for seed, row in own.items() if seed in baseline]
    gap = 100 * (teacher['measures']['mAP'] - mean(row['measures']['mAP'] for row in baseline.values())
                 ) if teacher and baseline else 0.0
    many = len(differences) > 1
    deviation = stdev(differences) if many else None
    return Gain(
        pair, variant, len(own),
        measures={key: 100 * mean(row['measures'][key] for row in own.values()) for key in MEASURES},
        gain=mean(differences) if differences else None, deviation=deviation,
        interval=confidence(deviation, len(differences)) if deviation is not None else None,
        closed=mean(differences) / gap if differences and gap > 0 else None)


def confidence(deviation: float, count: int) -> float:
    """Half the width of the 95 % interval of a mean of ``count`` values, by Student's t."""
    return float(student_t.ppf(0.975, count - 1)) * deviation / count**0.5


def table(found: list[Gain], published: dict | None = None) -> str:
    """The table of results in Markdown, with the gains of a paper beside ours where the study gives them."""
    columns: dict[str, Callable[[Gain], str]] = {
        'pair': lambda gain: gain.pair,
        'variant': lambda gain: gain.variant,
        'seeds': lambda gain: str(gain.seeds),
        **{title: _measure(key) for key, title in MEASURES.items()},
        'gain': lambda gain: _signed(gain.gain),
        'std': lambda gain: _number(gain.deviation),
        '95 % interval': lambda gain: '' if gain.gain is None or gain.interval is None else
        f'{gain.gain - gain.interval:+.1f} to {gain.gain + gain.interval:+.1f}',
        'gap closed': lambda gain: '' if gain.closed is None else f'{gain.closed:.0%}',
    }
    theirs = published['gains'] if published else {}
    for title in dict.fromkeys(title for gain in theirs.values() for title in gain):
        columns[title] = _published(theirs, title)
    lines = ['| ' + ' | '.join(columns) + ' |', '|' + '---|' * len(columns)]
    lines += ['| ' + ' | '.join(cell(gain) for cell in columns.values()) + ' |' for gain in found]
    return '\n'.join(lines)


def page(study: Study, rows: list[dict]) -> str:
    """``docs/results/NAME.md``."""
    return '\n\n'.join(filter(None, [
        f'# {study.title}',
        '<!-- written by tools/make_results.py from results/ and configs/studies/; edits are lost -->',
        study.question.strip(),
        f'![gains with 95 % intervals]({study.name}.png)',
        table(gains(rows), study.published),
        'Gains are differences in box mAP points between runs of the same seed, which share the data order and the '
        "student's initial weights; the interval is that of their mean by Student's t.",
        f'The columns on the right are published: {study.published["source"].strip()}' if study.published else '',
        f'## What it says\n\n{study.findings.strip()}' if study.findings.strip() else '',
        f'## How it was run\n\n{_provenance(rows)}\n\n`python tools/run_study.py configs/studies/{study.name}.yaml` '
        'runs it again.',
    ])) + '\n'


def readme_section(studies: list[tuple[Study, list[dict]]]) -> str:
    """The tables for the README, folded: every study, and where and when it was measured."""
    parts = [f'<details><summary><b>{study.title}</b></summary>\n\n{_provenance(rows)}; what it says: '
             f'[docs/results/{study.name}.md](docs/results/{study.name}.md)\n\n{table(gains(rows))}\n\n</details>'
             for study, rows in studies]
    return '\n\n'.join(parts)


def plot(study: Study, rows: list[dict], path: Path) -> None:
    """Gains with their intervals as a PNG, one colour a pair; every run is a dot."""
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot
    found = [gain for gain in gains(rows) if gain.gain is not None]
    pairs = list(dict.fromkeys(gain.pair for gain in found))
    figure, axes = pyplot.subplots(figsize=(7, 1.2 + 0.42 * max(1, len(found))), layout='constrained')
    for position, gain in enumerate(reversed(found)):
        colour = f'C{pairs.index(gain.pair)}'
        axes.errorbar([gain.gain or 0.0], [position], xerr=gain.interval, fmt='D', color=colour, capsize=4, zorder=3)
        runs = _differences(rows, gain)
        axes.plot(runs, [position] * len(runs), 'o', color=colour, alpha=0.35, markersize=5)
    axes.axvline(0, color='0.4', linewidth=1)
    axes.set_yticks(range(len(found)), [f'{gain.pair}: {gain.variant}' for gain in reversed(found)])
    axes.set_xlabel('gain over the baseline of the same seed, box mAP points\n(diamond and bar: mean and 95 % '
                    'interval; dots: runs)')
    axes.set_title(study.title)
    axes.grid(axis='x', alpha=0.3)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _differences(rows: list[dict], gain: Gain) -> list[float]:
    baseline = {row['seed']: row['measures']['mAP'] for row in rows
                if (row['pair'], row['variant']) == (gain.pair, BASELINE)}
    return [100 * (row['measures']['mAP'] - baseline[row['seed']]) for row in rows
            if (row['pair'], row['variant']) == (gain.pair, gain.variant) and row['seed'] in baseline]


def _provenance(rows: list[dict]) -> str:
    """Machines, versions, commits and days, as the rows have them."""
    def each(values) -> str:
        return ', '.join(dict.fromkeys(values))
    days = sorted({row['date'] for row in rows})
    stacks = each(f'torch {row["versions"].get("torch")}, mmdet '
                  f'{row["versions"].get("mmdet") or row["versions"].get("onedl-mmdetection")}' for row in rows)
    return (f'{each(row["hardware"] for row in rows)}; {stacks}; commit {each(row["commit"] for row in rows)}; '
            f'{days[0]}' + (f' to {days[-1]}' if len(days) > 1 else ''))


def _published(gains: dict, title: str) -> Callable[[Gain], str]:
    return lambda gain: _signed(gains.get(gain.variant, {}).get(title))


def _measure(key: str) -> Callable[[Gain], str]:
    return lambda gain: f'{gain.measures[key]:.1f}'


def _number(value: float | None) -> str:
    return '' if value is None else f'{value:.1f}'


def _signed(value: float | None) -> str:
    return '' if value is None else f'{value:+.1f}'
