"""The label encoder's stem on dense label maps, and on the classes that are present: time and peak memory."""
import argparse

import torch

from kddet.benchmarks.measure import median_seconds, peak_memory
from kddet.command_line.parser import Parser, add_device_argument, main_guard, positive, quiet
from kddet.labelenc import LabelEncoder, LabelMap, label_maps, present_label_map


def parse_args() -> argparse.Namespace:
    parser = Parser(description=__doc__)
    add_device_argument(parser)
    parser.add_argument('--shape', nargs=2, type=positive, default=(800, 1344), metavar=('HEIGHT', 'WIDTH'),
                        help='of the batch, in pixels (default: 800 1344)')
    parser.add_argument('--batch', type=positive, default=2, help='pictures (default: %(default)s)')
    parser.add_argument('--classes', type=positive, default=80, help='default: %(default)s')
    parser.add_argument('--boxes', type=int, default=8, help='a picture, of random classes (default: %(default)s)')
    parser.add_argument('--iters', type=positive, default=3,
                        help='measured, after one to warm up (default: %(default)s)')
    return parser.parse_args()


@torch.no_grad()
def main() -> None:
    args = parse_args()
    quiet()
    torch.manual_seed(0)
    height, width = args.shape
    encoder = LabelEncoder(args.classes).to(args.device).eval()
    extent = torch.tensor([width, height], device=args.device)
    boxes, labels = [], []
    for _ in range(args.batch):
        corner = torch.rand(args.boxes, 2, device=args.device) * 0.7 * extent
        boxes.append(torch.cat([corner, corner + 0.3 * torch.rand(args.boxes, 2, device=args.device) * extent], 1))
        labels.append(torch.randint(args.classes, (args.boxes,), device=args.device))

    def dense() -> torch.Tensor:
        return encoder.stem(label_maps(boxes, labels, num_classes=args.classes, size=(height, width)))

    def present() -> torch.Tensor:
        maps: list[LabelMap] = [present_label_map(*own, size=(height, width)) for own in zip(boxes, labels)]
        return encoder.present_stem(maps)
    error = (dense() - present()).abs().max()
    measured = dict(dense=dense, present=present)
    seconds = median_seconds(measured, args.iters, args.device)
    memory = {name: peak_memory(call, args.device) for name, call in measured.items()}
    print(f'{args.batch} x {args.classes} x {height} x {width}, {args.boxes} boxes a picture, {args.device}, '
          f'{torch.get_num_threads()} threads, median of {args.iters}; largest difference {error:.1e}:')
    for name in measured:
        print(f'  {name:8} {1e3 * seconds[name]:9.1f} ms  {memory[name]:8.1f} MiB')


if __name__ == '__main__':
    main_guard(main)
