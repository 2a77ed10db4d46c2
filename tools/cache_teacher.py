"""Fill the caches of a distillation config's teachers ahead of training, or go on where that stopped."""
import argparse
import time
from contextlib import nullcontext

import torch
from mmengine.registry import DATASETS, init_default_scope

from kddet.cache import check_pipelines
from kddet.cache.budget import GB
from kddet.cache.config import cache_configs, check_writable
from kddet.cache.fill import fill
from kddet.cache.store import folder_bytes
from kddet.command_line.parser import Parser, Settings, add_device_argument, main_guard
from kddet.distiller import check_methods
from kddet.hooks.teacher_cache import open_cache
from kddet.project.classes import resolve_class_map
from kddet.project.config import build_model, is_distillation, load_config
from kddet.project.data import check_data_files


def parse_args() -> argparse.Namespace:
    parser = Parser(description=__doc__)
    parser.add_argument('config', help='a distillation config with teacher=dict(..., cache=dict(dir=...))')
    add_device_argument(parser)
    parser.add_argument('--amp', action='store_true', help='in automatic mixed precision, for a training with --amp')
    parser.add_argument('--cfg-options', nargs='+', action=Settings, help='override settings of the config')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cfg = load_config(args.config)
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    if is_distillation(cfg):
        check_methods(cfg.model.get('teacher'), cfg.model.get('methods'), cfg.model.get('teachers'))
    caches = cache_configs(cfg)
    if not caches:
        raise ValueError(f'{args.config} has no cache to fill: add it to the teacher, cache=dict(dir=...)')
    for settings in caches:
        if settings.get('on_miss') == 'compute':
            raise ValueError("the cache has on_miss='compute', which writes nothing; leave it out here")
        check_writable(settings)
    check_data_files(cfg, 'train')
    for settings in caches:
        check_pipelines(cfg, settings.get('replayable', ()))
    resolve_class_map(cfg)
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    model = build_model(cfg).to(args.device)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    amp = args.amp or str(cfg.optim_wrapper.get('type')).endswith('AmpOptimWrapper')
    for name, cache in model.teacher_caches.items():
        began = time.monotonic()
        open_cache(cache, cfg, dataset)
        with torch.autocast(torch.device(args.device).type) if amp else nullcontext():
            fill(cache, model.data_preprocessor, cfg, dataset)
        folder, written = cache.store.folder, cache.writer.budget.written
        print(f'{name}: ' if name else '', f'{folder} holds {folder_bytes(folder) / GB:.3g} GB, {written / GB:.3g} GB '
              f'of them written in {time.monotonic() - began:.0f} s', sep='')


if __name__ == '__main__':
    main_guard(main)
