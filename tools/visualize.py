"""Pictures of what a method sees. `masks`: the cells that fine-grained imitation compares, level by level."""
import argparse
from pathlib import Path

import torch
from mmdet.structures.bbox import get_box_tensor
from mmengine.config import Config, DictAction
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner

import kddet
from kddet.cli import main_guard
from kddet.config import load_config, student_config
from kddet.pictures import draw_masks, mask_titles
from kddet.probe import probe

IMITATION = 'kddet.FineGrainedImitation'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    what = parser.add_subparsers(dest='what', required=True)
    masks = what.add_parser('masks', help='the mask of each level over validation pictures, with their boxes')
    masks.add_argument('config', help='a distillation config, or any MMDet config; no weights are needed')
    masks.add_argument('--out', required=True, help='folder for the pictures')
    masks.add_argument('--number', type=int, default=4, help='of pictures, taken as one batch (default: %(default)s)')
    masks.add_argument('--method-options', nargs='+', action=DictAction, default={},
                       help='of the imitation, over those of the config: threshold_factor=0.3 scope=level')
    masks.add_argument('--cfg-options', nargs='+', action=DictAction, help='override settings of the config')
    return parser.parse_args()


def imitation(cfg: Config, detector: torch.nn.Module, options: dict) -> kddet.FineGrainedImitation:
    """The config's own imitation, or one with the defaults, on the student alone."""
    found = [method for method in (cfg.model.get('methods') or {}).values() if method['type'] == IMITATION]
    settings = dict(found[0] if found else {}, **options)
    settings.update(type=IMITATION, adapter=None)
    settings.pop('teacher_tap', None)
    method = kddet.MODELS.build(settings)
    method.bind(detector, detector)
    records = probe(detector, list(method.student_taps), 'student')
    method.build(records, records)
    return method


@torch.no_grad()
def masks(args: argparse.Namespace) -> None:
    if args.number < 1:
        raise ValueError(f'--number {args.number}: at least 1')
    cfg = load_config(args.config)
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    plain = student_config(cfg)
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    plain.model.backbone.init_cfg = None
    detector = MODELS.build(plain.model).eval()
    method = imitation(cfg, detector, args.method_options)
    loader = dict(plain.val_dataloader, batch_size=args.number, num_workers=0, persistent_workers=False)
    _annotate_first(loader['dataset'])
    data = detector.data_preprocessor(next(iter(Runner.build_dataloader(loader))), True)  # padded as in training
    with kddet.Recorder(detector, method.student_taps, 'student') as records:
        detector.extract_feat(data['inputs'])
    maps = [records.pyramid(method.tap)[level] for level, _ in method.pairs]
    found = method.masks(maps, data['data_samples'])
    folder = Path(args.out)
    folder.mkdir(parents=True, exist_ok=True)
    for index, (image, sample) in enumerate(zip(data['inputs'], data['data_samples'])):
        path = folder / f'{Path(sample.img_path).stem}.png'
        draw_masks(path, image, get_box_tensor(sample.gt_instances.bboxes), [level[index] for level in found],
                   mask_titles(maps, image))
        print(f'wrote {path}')


def _annotate_first(dataset: dict) -> None:
    """Boxes in pixels of the network's input: validation pipelines load them after resizing, for the evaluator."""
    while 'pipeline' not in dataset:
        dataset = dataset['dataset']
    steps = list(dataset['pipeline'])
    annotations = [step for step in steps if step['type'] == 'LoadAnnotations']
    rest = [step for step in steps if step['type'] != 'LoadAnnotations']
    dataset['pipeline'] = [rest[0], *(annotations or [dict(type='LoadAnnotations', with_bbox=True)]), *rest[1:]]


def main() -> None:
    args = parse_args()
    masks(args)


if __name__ == '__main__':
    main_guard(main)
