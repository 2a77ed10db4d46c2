"""Pictures of what a method sees.

masks: the cells that fine-grained imitation compares, level by level. labelenc: label maps, their encodings, and what
the head makes of these.
"""
import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from mmdet.structures.bbox import get_box_tensor
from mmengine.config import Config, DictAction
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner

import kddet
from kddet.checkpoint import load_checkpoint, load_weights, state_dict_of
from kddet.cli import main_guard
from kddet.config import load_config, student_config
from kddet.pictures import draw_encodings, draw_masks, mask_titles
from kddet.probe import probe

IMITATION = 'kddet.FineGrainedImitation'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    what = parser.add_subparsers(dest='what', required=True)
    masks = what.add_parser('masks', help='the mask of each level over validation pictures, with their boxes')
    masks.add_argument('config', help='a distillation config, or any MMDet config; no weights are needed')
    masks.add_argument('--method-options', nargs='+', action=DictAction, default={},
                       help='of the imitation, over those of the config: threshold_factor=0.3 scope=level')
    labelenc = what.add_parser('labelenc', help='label map, energy of the encodings and reconstruction')
    labelenc.add_argument('config', help='of step 1, a kddet.LabelEncAutoencoder')
    labelenc.add_argument('checkpoint', help='of step 1')
    labelenc.add_argument('--score-thr', type=float, default=0.3, help='detections below are not drawn')
    for own in (masks, labelenc):
        own.add_argument('--out', required=True, help='folder for the pictures')
        own.add_argument('--number', type=int, default=4, help='of pictures, taken as one batch (default: %(default)s)')
        own.add_argument('--cfg-options', nargs='+', action=DictAction, help='override settings of the config')
    return parser.parse_args()


def read_config(args: argparse.Namespace) -> Config:
    if args.number < 1:
        raise ValueError(f'--number {args.number}: at least 1')
    cfg = load_config(args.config)
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    return cfg


def first_batch(cfg: Config, detector: Any, number: int) -> dict:
    """Validation pictures as the network gets them, padded as in training, with their boxes."""
    loader = dict(cfg.val_dataloader, batch_size=number, num_workers=0, persistent_workers=False)
    _annotate_first(loader['dataset'])
    return detector.data_preprocessor(next(iter(Runner.build_dataloader(loader))), True)


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
    cfg = read_config(args)
    plain = student_config(cfg)
    plain.model.backbone.init_cfg = None
    detector = MODELS.build(plain.model).eval()
    method = imitation(cfg, detector, args.method_options)
    data = first_batch(plain, detector, args.number)
    with kddet.Recorder(detector, method.student_taps, 'student') as records:
        detector.extract_feat(data['inputs'])
    maps = [records.pyramid(method.tap)[level] for level, _ in method.pairs]
    found = method.masks(maps, data['data_samples'])
    for index, (path, image, sample) in enumerate(pictures(args.out, data)):
        draw_masks(path, image, get_box_tensor(sample.gt_instances.bboxes), [level[index] for level in found],
                   mask_titles(maps, image))
        print(f'wrote {path}')


@torch.no_grad()
def labelenc(args: argparse.Namespace) -> None:
    cfg = read_config(args)
    if cfg.model.type != 'kddet.LabelEncAutoencoder':
        raise ValueError(f'the model of {args.config} is a {cfg.model.type}; give the config of step 1, whose model is '
                         'a kddet.LabelEncAutoencoder (configs/labelenc/labelenc-step1_*.py)')
    cfg.model.student.backbone.init_cfg = None
    model = MODELS.build(cfg.model).eval()
    print(load_weights(model, state_dict_of(load_checkpoint(args.checkpoint)), name=args.checkpoint))
    data = first_batch(cfg, model, args.number)
    maps = model.label_maps(data['data_samples'], tuple(data['inputs'].shape[2:]))
    reader = model.label_detector()
    with kddet.Recorder(reader, ['neck'], 'label encoder') as records:
        found = reader.predict(maps, data['data_samples'], rescale=False)
    levels = records.pyramid('neck')
    for index, (path, image, sample) in enumerate(pictures(args.out, data)):
        detections = found[index].pred_instances
        detections = detections[detections.scores >= args.score_thr]
        energies = [level[index].square().mean(0) for level in levels]
        draw_encodings(path, image, get_box_tensor(sample.gt_instances.bboxes), maps[index].map, energies,
                       mask_titles(levels, image), detections.bboxes)
        print(f'wrote {path}')


def pictures(out: str, data: dict) -> Iterator[tuple[Path, torch.Tensor, Any]]:
    """A file to write, the network's input and the sample of each picture of a batch."""
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    for image, sample in zip(data['inputs'], data['data_samples']):
        yield folder / f'{Path(sample.img_path).stem}.png', image, sample


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
    dict(masks=masks, labelenc=labelenc)[args.what](args)


if __name__ == '__main__':
    main_guard(main)
