"""Train a detector, plain or distilled, with the flags of MMDet's own tools/train.py."""
import argparse

import torch
from mmdet.utils import setup_cache_size_limit_of_dynamo
from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner, find_latest_checkpoint

from kddet.checkpoint import check_checkpoint
from kddet.classes import check_config_classes
from kddet.cli import add_host_arguments, main_guard, work_dir_of
from kddet.config import load_config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='a distillation config, or any MMDet config')
    parser.add_argument('--amp', action='store_true', help='train in automatic mixed precision (needs a GPU)')
    parser.add_argument('--auto-scale-lr', action='store_true', help='scale the learning rate to the batch size')
    parser.add_argument('--resume', nargs='?', const='auto',
                        help='resume from a checkpoint; without a path, from the latest one in the work dir if any')
    add_host_arguments(parser)
    return parser.parse_args()


def training_config(args: argparse.Namespace) -> Config:
    cfg = load_config(args.config)
    cfg.launcher = args.launcher
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    cfg.work_dir = work_dir_of(args, cfg)
    if args.amp:
        if not torch.cuda.is_available():
            raise ValueError('--amp needs a GPU that torch can use, there is none; leave it out to train in float32')
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.loss_scale = 'dynamic'
    if args.auto_scale_lr:
        if not {'enable', 'base_batch_size'} <= set(cfg.get('auto_scale_lr', {})):
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
    check_config_classes(cfg)
    return cfg


def main() -> None:
    setup_cache_size_limit_of_dynamo()
    cfg = training_config(parse_args())
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    runner.train()


if __name__ == '__main__':
    main_guard(main)
