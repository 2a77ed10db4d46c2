"""Run a study: detector pairs x variants x seeds, what is missing of it, and add its rows to results/NAME.jsonl."""
import argparse
import sys
import time
from pathlib import Path

import torch

from kddet.command_line.parser import Parser, check_folder, main_guard, positive
from kddet.project.data import check_data_files
from kddet.studies import Study, execute, write_rows
from kddet.studies.results import gains, read_rows, table


def parse_args() -> argparse.Namespace:
    parser = Parser(description=__doc__)
    parser.add_argument('study', help='yaml file below configs/studies')
    parser.add_argument('--pairs', nargs='+', metavar='PAIR', help='only these detector pairs of the study')
    parser.add_argument('--seeds', nargs='+', type=int, metavar='SEED', help='only these seeds of the study')
    parser.add_argument('--variants', nargs='+', metavar='VARIANT', help='only these variants, and the baseline')
    parser.add_argument('--jobs', type=positive, default=max(1, torch.cuda.device_count() or 2),
                        help='runs side by side (default: one a GPU, or 2)')
    parser.add_argument('--data-root', help='folder of the data set, where it is not the one in the configs')
    parser.add_argument('--work-dir', help='folder for checkpoints and logs (default: work_dirs/studies/NAME)')
    parser.add_argument('--results', default='results', help='folder of the rows (default: %(default)s)')
    return parser.parse_args()


class Progress:
    """One line for the whole study: share done, what runs, ETA from what was done since the start."""

    def __init__(self, runs: list, rows: Path) -> None:
        self.runs, self.rows = runs, rows
        self.started, self.share = time.monotonic(), self._share()
        self.last = 0.0
        self.running: set[int] | None = None  # rows are written when what runs has changed

    def __call__(self, running: list) -> None:
        if set(map(id, running)) != self.running:
            self.running = set(map(id, running))
            write_rows(self.runs, self.rows)
        every = 1 if sys.stderr.isatty() else 60
        if running and time.monotonic() - self.last < every:
            return
        self.last = time.monotonic()
        share, elapsed = self._share(), time.monotonic() - self.started
        gained = share - self.share
        eta = f'{elapsed / gained * (1 - share) / 60:.0f} min left' if gained > 0.005 else 'ETA later'
        done = sum(run.finished for run in self.runs)
        names = ', '.join(run.name for run in running) or 'done'
        line = f'{done} of {len(self.runs)} runs, {share:.0%}, {eta}: {names}'
        terminal = sys.stderr.isatty()
        print(f'\r\x1b[K{line}' if terminal else line, end='' if terminal and running else '\n', file=sys.stderr,
              flush=True)

    def _share(self) -> float:
        return sum(run.progress for run in self.runs) / len(self.runs)


def main() -> None:
    args = parse_args()
    study = Study.read(args.study)
    work_dir = Path(args.work_dir or Path('work_dirs/studies') / study.name).absolute()
    runs = study.runs(work_dir, args.data_root, args.pairs, args.seeds, args.variants)
    rows = Path(args.results) / f'{study.name}.jsonl'
    check_folder(work_dir, '--work-dir')
    check_folder(args.results, '--results')
    for cfg in {run.work_dir.parent: run.cfg for run in runs if not run.after}.values():
        check_data_files(cfg, 'train', 'val')
    execute(runs, jobs=args.jobs, report=Progress(runs, rows))
    print(f'{table(gains(read_rows(rows)), study.published)}\n\nrows in {rows}; write the pages with: '
          'python tools/make_results.py')


if __name__ == '__main__':
    main_guard(main)
