"""A step with MMRazor 1.0.0 beside a step with kddet: the same detectors, the same L2 on the neck, the same batch.

In one process, in turn, medians: each tool's whole step over the plain student's step and the teacher's backbone and
neck. Needs `pip install --no-deps mmrazor==1.0.0`.
"""
import argparse
from pathlib import Path

from mmengine.registry import init_default_scope

from kddet.benchmarks.arguments import add_arguments, begin, finish, of_batch
from kddet.benchmarks.mmrazor import measure_mmrazor, mmrazor_table, models
from kddet.command_line.parser import Parser, main_guard
from kddet.project.config import load_config


def parse_args() -> argparse.Namespace:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--student', default='mmdet::retinanet/retinanet_r18_fpn_1x_coco.py', metavar='CONFIG')
    parser.add_argument('--teacher', default='mmdet::retinanet/retinanet_r50_fpn_1x_coco.py', metavar='CONFIG')
    add_arguments(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    begin(args)
    init_default_scope('mmdet')
    student, teacher = (load_config(config).model for config in (args.student, args.teacher))
    student.backbone.init_cfg = teacher.backbone.init_cfg = None
    row = measure_mmrazor(*models(student, teacher, args.device), **of_batch(args), device=args.device)
    row |= dict(student=Path(args.student).stem, teacher=Path(args.teacher).stem)
    finish(args, [row], mmrazor_table([row]))


if __name__ == '__main__':
    main_guard(main)
