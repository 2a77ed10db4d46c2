"""The adaptive distillation loss beside MMDet's focal loss on the same logits: time and peak memory, in one run."""
import argparse

import torch
from mmdet.models.losses import FocalLoss
from torch import Tensor

from kddet.benchmarks.measure import median_seconds, peak_memory
from kddet.command_line.parser import Parser, add_device_argument, main_guard, positive, quiet
from kddet.losses import adaptive_distillation_loss

STRIDES = (8, 16, 32, 64, 128)


def parse_args() -> argparse.Namespace:
    parser = Parser(description=__doc__)
    add_device_argument(parser)
    parser.add_argument('--shape', nargs=2, type=positive, default=(800, 1344), metavar=('HEIGHT', 'WIDTH'),
                        help='of the picture, in pixels (default: 800 1344)')
    parser.add_argument('--classes', type=positive, default=80, help='default: %(default)s')
    parser.add_argument('--anchors', type=positive, default=9, help='a cell (default: %(default)s)')
    parser.add_argument('--iters', type=positive, default=3,
                        help='measured, after one to warm up (default: %(default)s)')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    quiet()
    torch.manual_seed(0)
    cells = sum(-(-args.shape[0] // stride) * -(-args.shape[1] // stride) for stride in STRIDES)
    rows = cells * args.anchors
    student = (torch.randn(rows, args.classes, device=args.device) - 5).requires_grad_()
    teacher = torch.randn(rows, args.classes, device=args.device) - 5
    labels = torch.randint(args.classes + 1, (rows,), device=args.device)
    weight = torch.ones(rows, device=args.device)
    focal = FocalLoss()

    def backward(loss: Tensor) -> None:
        student.grad = None
        loss.backward()
    measured = {
        'focal loss (MMDet)': lambda: backward(focal(student, labels, weight, avg_factor=100.)),
        "form='paper'": lambda: backward(adaptive_distillation_loss(student, teacher, weight=weight[:, None])),
        "form='code'": lambda: backward(adaptive_distillation_loss(student, teacher, weight=weight[:, None], beta=0.0,
                                                                   gamma=2.0, form='code'))}
    seconds = median_seconds(measured, args.iters, args.device)
    memory = {}
    for name, call in measured.items():
        student.grad = None
        memory[name] = peak_memory(call, args.device)
    first = next(iter(measured))
    print(f'{rows} x {args.classes} logits (a picture of {args.shape[0]} x {args.shape[1]}), forward and backward, '
          f'{args.device}, {torch.get_num_threads()} threads, median of {args.iters}:')
    for name in measured:
        print(f'  {name:20} {1e3 * seconds[name]:9.1f} ms  {seconds[name] / seconds[first]:5.2f} x'
              f'  {memory[name]:9.1f} MiB  {memory[name] / max(memory[first], 1e-3):5.2f} x')


if __name__ == '__main__':
    main_guard(main)
