"""Train a detector, plain or distilled, with the flags of MMDet's own tools/train.py."""
import argparse
import sys
import tempfile

import torch
from mmdet.utils import setup_cache_size_limit_of_dynamo
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_main_process
from mmengine.model import is_model_wrapper
from mmengine.registry import RUNNERS
from mmengine.runner import Runner, find_latest_checkpoint

from kddet.cache.config import prepare_cache
from kddet.checkpoint import check_checkpoint, check_resumable
from kddet.command_line.class_map import CLASS, class_map
from kddet.command_line.launch import check_strategy, launch_on_cpu
from kddet.command_line.memory import keep_freed_memory
from kddet.command_line.parser import (
    Parser,
    Settings,
    add_host_arguments,
    check_file,
    check_folder,
    main_guard,
    named_files,
    natural,
    positive,
    share,
    spread,
    work_dir_of,
)
from kddet.distiller import check_methods
from kddet.methods import NAMES
from kddet.preflight import preflight
from kddet.project.classes import check_config_classes, resolve_class_map
from kddet.project.config import check_parts, check_wrapper, is_distillation, load_config, write_config
from kddet.project.data import check_data_files, check_loader
from kddet.project.host_settings import check_hooks, check_save_best, check_seed
from kddet.project.optim import check_optimizer
from kddet.project.overlay import add_hooks, diagnose_methods, overlay
from kddet.project.samples import check_samples
from kddet.project.teaching import check_overrides
from kddet.unlabelled import check_unlabelled_data

OVERLAY = ('teacher', 'teacher_checkpoint', 'teacher_options', 'class_map', 'method_options')


def parse_args() -> argparse.Namespace:
    parser = Parser(description=__doc__)
    parser.add_argument('config', help='a distillation config, or any MMDet config')
    parser.add_argument('--method', type=lambda text: text.split(','), metavar='NAME[,NAME...]',
                        help=f'distil the detector of a plain config: {", ".join(NAMES)}; by another name: mine=hint')
    parser.add_argument('--teacher', action='append', metavar='CONFIG', help='config of the teacher of --method, or a '
                        'model from outside MMDet: FILE.onnx, FILE.torchscript; of several: a=CONFIG b=CONFIG, and '
                        'which method reads which: --method-options hint.teacher=a')
    parser.add_argument('--teacher-checkpoint', action='append', metavar='FILE', help='its weights, a path or an URL; '
                        'of several: a=FILE b=FILE')
    parser.add_argument('--teacher-options', nargs='+', action=Settings, default={}, help='settings of the teacher: '
                        'input_scale=2.0 dtype=bfloat16 cache.dir=work_dirs/teacher; of one among several: '
                        'a.input_scale=2.0')
    parser.add_argument('--class-map', action='append', metavar='auto | STUDENT=TEACHER', help='for a teacher of other '
                        'classes: compare those that both have by name (auto), or those of a table, lorry=truck '
                        'car=car, and leave the others out')
    parser.add_argument('--method-options', nargs='+', action=Settings, default={},
                        help='settings of the methods: fgfi.loss_weight=0.02')
    parser.add_argument('--method-diagnostics', type=positive, metavar='N', help='every N iterations, log how strong '
                        "the gradient of each method's terms is beside the detection loss's, and their cosine")
    parser.add_argument('--dump-config', metavar='FILE', help='write the config that would be trained, and leave')
    parser.add_argument('--dry-run', action='store_true', help='report on the distillation that would be trained, and '
                        'leave: exit code 1 where a line of the report says stop')
    parser.add_argument('--preflight-images', type=natural, default=50, metavar='N', help='validation images on which '
                        'the teacher is measured before the first step; 0 leaves it out (default: %(default)s)')
    parser.add_argument('--min-teacher-map', type=share, metavar='MAP', help='mAP of the teacher on them, 0 to 1, '
                        'below which, or without which, the run stops (default: 0.01, where it can be measured)')
    parser.add_argument('--amp', action='store_true', help='train in automatic mixed precision (needs a GPU)')
    parser.add_argument('--auto-scale-lr', action='store_true', help='scale the learning rate to the batch size')
    parser.add_argument('--resume', nargs='?', const='auto',
                        help='resume from a checkpoint; without a path, from the latest one in the work dir if any')
    add_host_arguments(parser)
    files = spread(sys.argv[1:], '--teacher', '--teacher-checkpoint')
    return parser.parse_args(spread(files, '--class-map', name=CLASS))


def training_config(args: argparse.Namespace) -> Config:
    cfg = load_config(args.config)
    cfg.launcher = args.launcher
    if args.cfg_options:
        if args.method:
            check_overrides(cfg, args.cfg_options)
        cfg.merge_from_dict(args.cfg_options)
    check_parts(cfg, 'model', 'train_dataloader', 'train_cfg', 'optim_wrapper')
    check_optimizer(cfg)
    check_hooks(cfg)
    check_seed(cfg)
    if args.method:
        cfg = overlay(cfg, methods=args.method, options=args.method_options,
                      class_map=class_map(args.class_map), teacher_options=args.teacher_options,
                      teacher=named_files(args.teacher, '--teacher'),
                      teacher_checkpoint=named_files(args.teacher_checkpoint, '--teacher-checkpoint'))
    elif given := [name for name in OVERLAY if getattr(args, name)]:
        raise ValueError(f'--{given[0].replace("_", "-")} is given without --method, which says how to distil; ' + (
            f'what {args.config} has is changed with --cfg-options model.teacher.input_scale=2.0 and the like'
            if is_distillation(cfg) else f'there are {", ".join(NAMES)}'))
    if args.dry_run and not is_distillation(cfg):
        raise ValueError(f'--dry-run reports on a distillation, and {args.config} is the config of a plain detector; '
                         'say how to distil it with --method')
    if args.method_diagnostics is not None:
        diagnose_methods(cfg, args.method_diagnostics)
    cfg.work_dir = work_dir_of(args, cfg)
    if args.amp:
        if not torch.cuda.is_available():
            raise ValueError('--amp needs a GPU that torch can use, there is none; leave it out to train in float32')
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.loss_scale = 'dynamic'
    if args.auto_scale_lr:
        if not {'enable', 'base_batch_size'} <= set(cfg.get('auto_scale_lr') or {}):
            raise ValueError('--auto-scale-lr needs auto_scale_lr=dict(enable=False, base_batch_size=...) in the '
                             f'config {args.config}')
        cfg.auto_scale_lr.enable = True
    if args.resume == 'auto':
        cfg.resume, cfg.load_from = True, None
    elif args.resume:
        cfg.resume, cfg.load_from = True, args.resume
    if cfg.get('load_from'):
        cfg.load_from = check_checkpoint(cfg.load_from)
    elif cfg.get('resume') and (latest := find_latest_checkpoint(cfg.work_dir)):
        check_checkpoint(latest)
    if is_distillation(cfg):
        check_methods(cfg.model.get('teacher'), cfg.model.get('methods'), cfg.model.get('teachers'))
        check_wrapper(cfg)
    check_data_files(cfg, 'train', 'val')
    if line := resolve_class_map(cfg):
        print(line)
    check_strategy(cfg)
    check_config_classes(cfg)
    check_unlabelled_data(cfg)
    add_hooks(cfg)
    prepare_cache(cfg)
    return cfg


def main() -> None:
    setup_cache_size_limit_of_dynamo()
    args = parse_args()
    if args.dump_config and not args.dump_config.endswith('.py'):
        raise ValueError(f'--dump-config {args.dump_config!r} must end in .py')
    cfg = training_config(args)
    if args.dump_config:
        check_file(args.dump_config, '--dump-config')
        write_config(cfg, args.dump_config)
        print(f'wrote {args.dump_config}; train it with: python {sys.argv[0]} {args.dump_config}')
        return
    launch_on_cpu(cfg)
    if args.dry_run:
        with tempfile.TemporaryDirectory() as folder:  # the work dir stays as it is, and no service hears of a run
            cfg.update(work_dir=folder, visualizer=None, log_level='ERROR')
            report(build_runner(cfg), args)
        return
    check_folder(cfg.work_dir, '--work-dir')
    runner = build_runner(cfg)
    if is_distillation(cfg):
        report(runner, args)
    if get_device() == 'cpu':
        keep_freed_memory()
    runner.train()


def build_runner(cfg: Config) -> Runner:
    """The Runner, its data looked at, and what it is to resume from."""
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    if cfg.get('resume') and (file := cfg.get('load_from') or find_latest_checkpoint(cfg.work_dir)):
        check_resumable(runner.model.module if is_model_wrapper(runner.model) else runner.model, file)
    check_loader(runner.train_loop.dataloader, 'train_dataloader')
    check_samples(runner.train_loop.dataloader, 'train_dataloader')
    if runner.val_loop is not None:
        check_loader(runner.val_loop.dataloader, 'val_dataloader')
        check_samples(runner.val_loop.dataloader, 'val_dataloader', boxes=False)
        check_save_best(runner)
    return runner


def report(runner: Runner, args: argparse.Namespace) -> None:
    found = preflight(runner, images=args.preflight_images, min_teacher_map=args.min_teacher_map)
    if args.dry_run and is_main_process():
        print(found)
    found.check()


if __name__ == '__main__':
    main_guard(main)
