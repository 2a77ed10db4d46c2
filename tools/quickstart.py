"""Teacher, plain student and distilled student on the digits data set: trained, compared and drawn."""
import argparse
import json
import time
from pathlib import Path

from kddet.command_line.parser import Parser, check_folder, main_guard, positive
from kddet.datasets import make_digits
from kddet.project.config import load_config, student_config
from kddet.studies import Run, execute
from kddet.studies.plan import move_data
from kddet.studies.report import draw, parameters_and_flops, table
from kddet.studies.runs import REPOSITORY, environment

TEACHER = 'configs/digits/retinanet_r18-half_fpn_16e_digits.py'
DISTILLED = 'configs/fgfi/fgfi_retinanet_r18-half_to_r18-quarter_fpn_10e_digits.py'
SEED = 0


def parse_args() -> argparse.Namespace:
    parser = Parser(description=__doc__)
    parser.add_argument('--work-dir', default='work_dirs/quickstart', help='default: %(default)s')
    parser.add_argument('--data-root', default='data/digits', help='written if it is not there (default: %(default)s)')
    parser.add_argument('--epochs', nargs=2, type=positive, metavar=('TEACHER', 'STUDENT'),
                        help='shorter or longer than the configs say')
    parser.add_argument('--pictures', nargs=2, type=positive, default=(800, 200), metavar=('TRAIN', 'VAL'),
                        help='size of the data set when it is written (default: 800 200)')
    return parser.parse_args()


def plan(args: argparse.Namespace) -> dict[str, Run]:
    """The three runs; the students start from the same weights and see the same batches."""
    work_dir = Path(args.work_dir).absolute()
    teacher_cfg, distilled_cfg = load_config(REPOSITORY / TEACHER), load_config(REPOSITORY / DISTILLED)
    for cfg, epochs in zip((teacher_cfg, distilled_cfg), args.epochs or (None, None)):
        move_data(cfg, Path(args.data_root).absolute())
        cfg.randomness = dict(seed=SEED)
        if epochs:
            cfg.merge_from_dict({'train_cfg.max_epochs': epochs, 'param_scheduler.1.T_max': epochs})
    teacher = Run('teacher', work_dir / 'teacher', teacher_cfg)
    distilled_cfg.model.teacher.update(config=str(teacher.config_file), checkpoint=str(teacher.checkpoint))
    return dict(teacher=teacher, baseline=Run('baseline', work_dir / 'baseline', student_config(distilled_cfg)),
                distilled=Run('distilled', work_dir / 'distilled', distilled_cfg, after=(teacher,)))


class Follow:
    """Print MMEngine's own lines of training and evaluation as they come, under the name of their run."""

    def __init__(self) -> None:
        self.offsets: dict[Path, int] = {}

    def __call__(self, running: list[Run]) -> None:
        for run in running:
            log = run.work_dir / 'output.log'
            if not log.is_file():
                continue
            start = self.offsets.setdefault(log, 0)
            with log.open('rb') as file:
                file.seek(start)
                whole, newline, _ = file.read().rpartition(b'\n')
            self.offsets[log] += len(whole) + len(newline)
            for line in whole.decode(errors='replace').splitlines():
                if 'Epoch(' in line or 'resumed epoch' in line:
                    print(f'{run.name:9}  {line.split(" - ")[-1].strip()}', flush=True)


def summarise(runs: dict[str, Run], minutes: float) -> dict:
    rows = {}
    for name, run in runs.items():
        parameters, flops = parameters_and_flops(run)
        rows[name] = dict(parameters=parameters, flops=flops, **run.result['measures'],
                          seconds=run.result['seconds'], epochs=run.length,
                          checkpoint=str(run.checkpoint), checkpoint_sha256=run.result['checkpoint_hash'])
    return dict(models=rows, seed=SEED, minutes_of_this_start=round(minutes, 1),
                date=time.strftime('%Y-%m-%d'), **environment())


def main() -> None:
    args = parse_args()
    began = time.monotonic()
    check_folder(args.work_dir, '--work-dir')
    check_folder(args.data_root, '--data-root')
    if not (Path(args.data_root) / 'instances_val.json').is_file():
        make_digits(args.data_root, train=args.pictures[0], val=args.pictures[1])
        print(f'digits written to {args.data_root}')
    runs = plan(args)
    todo = [run for run in runs.values() if not run.finished]
    print('everything is trained already' if not todo else f'to train: {", ".join(run.name for run in todo)}')
    # the teacher first with all cores; then both students side by side
    follow = Follow()
    execute([runs['teacher']], jobs=1, report=follow)
    execute(list(runs.values()), jobs=2, report=follow)
    summary = summarise(runs, (time.monotonic() - began) / 60)
    work_dir = Path(args.work_dir)
    draw(runs, work_dir / 'report.png')
    (work_dir / 'summary.json').write_text(json.dumps(summary, indent=2) + '\n')
    print(f'\n{table(summary["models"])}\n\n{work_dir}/summary.json holds these figures, {work_dir}/report.png the '
          f'curves and detections.\nThe distilled student is a plain MMDet detector: {runs["distilled"].checkpoint}')


if __name__ == '__main__':
    main_guard(main)
