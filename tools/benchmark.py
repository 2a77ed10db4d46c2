"""What a distillation step costs: the student's step (a), the teacher's forward (b), the whole (c), its terms (d).

In one process, in turn, medians; random weights and noise in place of pictures. On a CPU only the ratios mean anything.
"""
import argparse
from pathlib import Path

from mmengine.registry import init_default_scope

from kddet.benchmarks.arguments import add_arguments, append_row, begin, of_batch
from kddet.benchmarks.step import Cost, measure, table
from kddet.command_line.parser import Parser, main_guard, natural
from kddet.project.classes import resolve_class_map
from kddet.project.config import load_config
from kddet.teachers.settings import named_teachers


def parse_args() -> argparse.Namespace:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='+', metavar='CONFIG', help='distillation configs')
    add_arguments(parser)
    parser.add_argument('--boxes', type=natural, default=8, help='a picture (default: %(default)s)')
    parser.add_argument('--amp', action='store_true', help='in automatic mixed precision')
    parser.add_argument('--cache', choices=['exact', 'float32', 'float16', 'bfloat16'], metavar='TYPE',
                        help='(c) with a warm cache of the teacher: exact, float32, float16 or bfloat16')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    begin(args)
    costs: list[Cost] = []
    for config in args.configs:
        cfg = load_config(config)
        resolve_class_map(cfg)
        if args.cache:
            teachers = named_teachers(cfg.model)
            if not teachers:
                raise ValueError(f'{config} has no teacher that --cache could keep the outputs of; leave --cache out')
            for teacher in teachers.values():
                teacher.cache = dict(dir='', dtype=None if args.cache == 'exact' else args.cache)
        init_default_scope(cfg.get('default_scope', 'mmdet'))
        costs.append(measure(cfg, Path(config).stem, **of_batch(args), boxes=args.boxes, device=args.device,
                             amp=args.amp))
        append_row(args.json, costs[-1].row())
    print(f'{costs[0].machine}, {costs[0].threads} threads, medians of {args.iters}:\n\n{table(costs)}')


if __name__ == '__main__':
    main_guard(main)
