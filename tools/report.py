"""One HTML page on one or more runs: settings, curves, accuracy beside teacher and baseline, what changed, cost."""
import argparse
from pathlib import Path

from kddet.command_line.parser import Parser, check_file, main_guard, natural
from kddet.report import make_report
from kddet.teachers.accuracy import CACHE


def parse_args() -> argparse.Namespace:
    parser = Parser(description=__doc__, epilog='Detectors are measured on the validation data of '
                                     f'their configs, once: what they find is kept in {CACHE}. Start it where the '
                                     'training was started, so that relative paths in the configs are found.')
    parser.add_argument('work_dirs', nargs='+', metavar='WORK_DIR', help='of a run of tools/train.py')
    parser.add_argument('--baseline', metavar='WORK_DIR', help='of the student trained plainly, which the runs are '
                        'compared with; without it they are compared with their teacher')
    parser.add_argument('--out', default='report.html', help='file to write (default: %(default)s)')
    parser.add_argument('--pictures', type=natural, default=3, metavar='N', help='show the N pictures of each run that '
                        'gained most and the N that lost most (default: %(default)s)')
    parser.add_argument('--no-evaluation', action='store_true', help='do not run the detectors: no classes and no '
                        'pictures, and accuracy as the log has it')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    check_file(args.out, '--out')
    text = make_report(args.work_dirs, args.baseline, measure=not args.no_evaluation, pictures=args.pictures)
    out = Path(args.out)
    out.write_text(text, encoding='utf-8')
    print(f'wrote {out} ({out.stat().st_size / 1e6:.1f} MB); open it in a browser, it needs no other file')


if __name__ == '__main__':
    main_guard(main)
