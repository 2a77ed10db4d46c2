"""What a distillation step costs: the student's step (a), the teacher's forward (b), the whole (c), its terms (d).

In one process, in turn, medians; random weights and noise in place of pictures. On a CPU only the ratios mean anything.
"""
import argparse
import json
from pathlib import Path

import torch
from mmengine.registry import init_default_scope

from kddet.benchmark import Cost, measure, table
from kddet.classes import resolve_class_map
from kddet.cli import main_guard, quiet
from kddet.config import load_config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='+', metavar='CONFIG', help='distillation configs')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu', help='default: %(default)s')
    parser.add_argument('--shape', nargs=2, type=int, default=(512, 512), metavar=('HEIGHT', 'WIDTH'),
                        help='of the batch, in pixels (default: 512 512)')
    parser.add_argument('--batch', type=int, default=2, help='pictures (default: %(default)s)')
    parser.add_argument('--boxes', type=int, default=8, help='a picture (default: %(default)s)')
    parser.add_argument('--iters', type=int, default=5, help='measured, after one to warm up (default: %(default)s)')
    parser.add_argument('--amp', action='store_true', help='in automatic mixed precision')
    parser.add_argument('--json', type=Path, metavar='FILE', help='append the rows, one a line')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if min(*args.shape, args.batch, args.iters) < 1 or args.boxes < 0:
        raise ValueError(f'--shape {args.shape}, --batch {args.batch}, --iters {args.iters}, --boxes {args.boxes}: at '
                         'least 1, 1, 1 and 0')
    quiet()
    costs: list[Cost] = []
    for config in args.configs:
        cfg = load_config(config)
        resolve_class_map(cfg)
        init_default_scope(cfg.get('default_scope', 'mmdet'))
        costs.append(measure(cfg, Path(config).stem, batch=args.batch, height=args.shape[0], width=args.shape[1],
                             boxes=args.boxes, iters=args.iters, device=args.device, amp=args.amp))
        if args.json:
            args.json.parent.mkdir(parents=True, exist_ok=True)
            with args.json.open('a') as file:
                file.write(json.dumps(costs[-1].row()) + '\n')
    print(f'{costs[0].machine}, {costs[0].threads} threads, medians of {args.iters}:\n\n{table(costs)}')


if __name__ == '__main__':
    main_guard(main)
