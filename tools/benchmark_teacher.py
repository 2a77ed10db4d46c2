"""What a teacher's options (bfloat16, channels_last, compile) save of its forward, and change in its features."""
import argparse
from pathlib import Path

from mmengine.registry import init_default_scope

from kddet.benchmarks.arguments import add_arguments, append_row
from kddet.benchmarks.teacher_options import measure_options, options_table
from kddet.cli import Parser, main_guard, quiet
from kddet.config import load_config
from kddet.memory import keep_freed_memory


def parse_args() -> argparse.Namespace:
    parser = Parser(description=__doc__)
    parser.add_argument('config', help='a distillation config')
    parser.add_argument('--checkpoint', metavar='FILE', help='weights of its teacher; without it they are random')
    add_arguments(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    quiet()
    if args.device == 'cpu':
        keep_freed_memory()  # as tools/train.py does
    cfg = load_config(args.config)
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    rows = measure_options(cfg, Path(args.config).stem, batch=args.batch, height=args.shape[0], width=args.shape[1],
                           iters=args.iters, device=args.device, checkpoint=args.checkpoint)
    for row in rows:
        append_row(args.json, row)
    print(f'{rows[0]["machine"]}, {rows[0]["threads"]} threads, medians of {args.iters}:\n\n{options_table(rows)}')


if __name__ == '__main__':
    main_guard(main)
