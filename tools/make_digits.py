"""Write the digits data set in COCO format."""
import argparse

from kddet.command_line.parser import Parser, check_folder, main_guard
from kddet.datasets import make_digits


def parse_args() -> argparse.Namespace:
    parser = Parser(description=__doc__)
    parser.add_argument('--out', default='data/digits', help='folder to write to (default: %(default)s)')
    parser.add_argument('--train', type=int, default=800, help='training pictures (default: %(default)s)')
    parser.add_argument('--val', type=int, default=200, help='validation pictures (default: %(default)s)')
    parser.add_argument('--unlabelled', type=int, default=0,
                        help='pictures for semi-supervised training (default: %(default)s)')
    parser.add_argument('--size', type=int, default=160, help='side of a picture in pixels (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='of everything random (default: %(default)s)')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    check_folder(args.out, '--out')
    make_digits(args.out, train=args.train, val=args.val, unlabelled=args.unlabelled, size=args.size, seed=args.seed)
    print(f'{args.train} training, {args.val} validation and {args.unlabelled} unlabelled pictures of {args.size} px '
          f'written to {args.out}')


if __name__ == '__main__':
    main_guard(main)
