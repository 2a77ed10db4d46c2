"""What a teacher's options (bfloat16, channels_last, compile) save of its forward, and change in its features."""
import argparse
from pathlib import Path

from mmengine.registry import init_default_scope

from kddet.benchmarks.arguments import add_arguments, begin, finish, of_batch
from kddet.benchmarks.teacher_options import measure_options, options_table
from kddet.command_line.parser import Parser, main_guard
from kddet.project.config import load_config


def parse_args() -> argparse.Namespace:
    parser = Parser(description=__doc__)
    parser.add_argument('config', help='a distillation config')
    parser.add_argument('--checkpoint', metavar='FILE', help='weights of its teacher; without it they are random')
    add_arguments(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    begin(args)
    cfg = load_config(args.config)
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    rows = measure_options(cfg, Path(args.config).stem, **of_batch(args), device=args.device,
                           checkpoint=args.checkpoint)
    finish(args, rows, options_table(rows))


if __name__ == '__main__':
    main_guard(main)
