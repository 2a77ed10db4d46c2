"""Evaluate a student, with the flags of MMDet's own tools/test.py. The teacher's files are not needed."""
import argparse
from copy import deepcopy

from mmdet.engine.hooks.utils import trigger_visualization_hook
from mmdet.evaluation import DumpDetResults
from mmdet.utils import setup_cache_size_limit_of_dynamo
from mmengine.config import Config, ConfigDict
from mmengine.model import is_model_wrapper
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from kddet.checkpoint import check_checkpoint, load_checkpoint, load_weights, student_weights
from kddet.command_line.launch import launch_on_cpu
from kddet.command_line.parser import Parser, add_host_arguments, check_folder, main_guard, work_dir_of
from kddet.project.config import check_parts, load_config, student_config
from kddet.project.data import check_data_files, check_loader

TTA_META_KEYS = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'flip', 'flip_direction')


def parse_args() -> argparse.Namespace:
    parser = Parser(description=__doc__)
    parser.add_argument('config', help='the distillation config, or the config of the plain student')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out', help='dump the predictions to a .pkl file')
    parser.add_argument('--show', action='store_true', help='show the predictions in a window')
    parser.add_argument('--show-dir', help='write painted pictures to this folder of the work dir')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds between shown pictures')
    parser.add_argument('--tta', action='store_true', help='test time augmentation')
    add_host_arguments(parser)
    return parser.parse_args()


def test_config(args: argparse.Namespace) -> Config:
    if args.out and not args.out.endswith(('.pkl', '.pickle')):
        raise ValueError(f'--out {args.out!r} must end in .pkl or .pickle')
    checkpoint = check_checkpoint(args.checkpoint)
    cfg = load_config(args.config)
    cfg.launcher = args.launcher
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    cfg.work_dir = work_dir_of(args, cfg)
    check_folder(cfg.work_dir, '--work-dir')
    cfg = student_config(cfg)
    check_parts(cfg, 'test_dataloader', 'test_cfg', 'test_evaluator')
    check_data_files(cfg, 'test')
    cfg.load_from = checkpoint
    if args.show or args.show_dir:
        cfg = trigger_visualization_hook(cfg, args)
    if args.tta:
        _use_tta(cfg)
    return cfg


def _use_tta(cfg: Config) -> None:
    """The config's own ``tta_model`` and ``tta_pipeline``, or MMDet's defaults: the picture and its mirror image."""
    dataset = cfg.test_dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    tta_model = cfg.get('tta_model') or dict(
        type='DetTTAModel', tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100))
    if 'tta_pipeline' not in cfg:
        cfg.tta_pipeline = deepcopy(dataset.pipeline)
        cfg.tta_pipeline[-1] = dict(type='TestTimeAug', transforms=[
            [dict(type='RandomFlip', prob=1.0), dict(type='RandomFlip', prob=0.0)],
            [dict(type='PackDetInputs', meta_keys=TTA_META_KEYS)]])
    cfg.model = ConfigDict(**tta_model, module=cfg.model)
    dataset.pipeline = cfg.tta_pipeline


def check_weights(runner: Runner, file: str) -> None:
    """Refuse a checkpoint that leaves some of the detector random: MMEngine loads what fits."""
    if '://' not in file:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        load_weights(getattr(model, 'module', model), student_weights(load_checkpoint(file)), name=file, extra=True)


def main() -> None:
    args = parse_args()
    setup_cache_size_limit_of_dynamo()
    cfg = test_config(args)
    launch_on_cpu(cfg)
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    check_weights(runner, cfg.load_from)
    check_loader(runner.test_loop.dataloader, 'test_dataloader')
    if args.out:
        runner.test_evaluator.metrics.append(DumpDetResults(out_file_path=args.out))
    runner.test()


if __name__ == '__main__':
    main_guard(main)
