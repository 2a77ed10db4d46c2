"""What can be tapped in a detector: submodules, shapes as channels x height x width, strides, and words for them."""
import argparse
import logging
import warnings

from mmengine.logging import MMLogger
from torch import nn

from kddet.command_line.parser import Parser, Settings, main_guard, positive, quiet
from kddet.project.config import build_detector, load_config
from kddet.recording.inspection import fitting_size, tappable
from kddet.recording.pairing import pairing
from kddet.teachers.external.files import is_model_file
from kddet.teachers.external.teacher import ExternalTeacher


def parse_args() -> argparse.Namespace:
    parser = Parser(description=__doc__)
    parser.add_argument('config', help='any MMDet config; a distillation config stands for its student')
    parser.add_argument('--teacher', metavar='CONFIG', help='print the pairing of its levels with those of a teacher, '
                        'or of a model from outside MMDet, FILE.onnx, FILE.torchscript')
    parser.add_argument('--shape', nargs=2, type=positive, metavar=('HEIGHT', 'WIDTH'),
                        help='of the probe image in pixels (default: 256 256, or more where that is too small)')
    parser.add_argument('--depth', type=positive, default=3, help='of dotted names (default: %(default)s)')
    parser.add_argument('--cfg-options', nargs='+', action=Settings, help='override settings of the config')
    return parser.parse_args()


def teacher_of(path: str) -> nn.Module:
    return ExternalTeacher(path).detector if is_model_file(path) else build_detector(load_config(path))


def silence() -> None:
    """The host's notes on how a model is built are none of the table's."""
    quiet()
    warnings.simplefilter('ignore', UserWarning)
    MMLogger.get_current_instance().setLevel(logging.ERROR)


def main() -> None:
    args = parse_args()
    if args.shape and min(args.shape) < 32:
        raise ValueError(f'--shape {args.shape[0]} {args.shape[1]}: both must be 32 or more')
    silence()
    cfg = load_config(args.config)
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    student = build_detector(cfg)
    teacher = teacher_of(args.teacher) if args.teacher else None
    size = (args.shape[0], args.shape[1]) if args.shape else fitting_size([student, teacher] if teacher else [student])
    print(f'{type(student).__name__}, an image of {size[0]} x {size[1]}; channels x height x width /stride\n')
    found, missing = tappable(student, size, args.depth)
    print(*(own.line() for own in found), sep='\n')
    for lines in missing, pairing(student, teacher, size) if teacher else []:
        if lines:
            print('', *lines, sep='\n')


if __name__ == '__main__':
    main_guard(main)
