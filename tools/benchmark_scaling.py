"""How much more two processes train than one: pictures a second of two over twice those of one, on a CPU with gloo."""
import argparse
from pathlib import Path

from kddet.benchmarks.arguments import add_arguments, begin, finish, of_batch
from kddet.benchmarks.scaling import measure_scaling, scaling_table
from kddet.command_line.parser import Parser, main_guard
from kddet.project.config import load_config


def parse_args() -> argparse.Namespace:
    parser = Parser(description=__doc__)
    parser.add_argument('config', help='a distillation config')
    add_arguments(parser, device=False)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    begin(args)
    row = measure_scaling(load_config(args.config), Path(args.config).stem, **of_batch(args))
    finish(args, [row], scaling_table([row]))


if __name__ == '__main__':
    main_guard(main)
