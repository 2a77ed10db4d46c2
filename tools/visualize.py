"""Pictures of what a method sees, of what detectors find, and of how runs went.

compare: ground truth, teacher and student beside each other. energy: where the features of teacher and student are
strong, and where they differ. curves: mAP and every loss over training. masks: the cells that fine-grained imitation
compares, level by level. labelenc: label maps, their encodings, and what the head makes of these.
"""
import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mmcv
import torch
from mmdet.structures.bbox import get_box_tensor
from mmengine.config import Config
from mmengine.registry import init_default_scope

import kddet
from kddet.checkpoint import load_checkpoint, load_weights, state_dict_of
from kddet.command_line.parser import Parser, Settings, check_file, check_folder, main_guard, positive, share
from kddet.options import check_options
from kddet.pictures import (
    Panel,
    compare_picture,
    draw_curves,
    draw_encodings,
    draw_energy,
    draw_masks,
    mask_titles,
)
from kddet.pictures.features import compared_features, feature_methods
from kddet.pictures.inference import TaughtDetector, TrainedDetector, names_as_taught
from kddet.pictures.validation import first_batch, given_pictures, validation_pictures
from kddet.project.classes import checkpoint_classes, config_classes, resolve_class_map
from kddet.project.config import (
    build_detector,
    build_model,
    check_parts,
    check_wrapper,
    is_distillation,
    load_config,
    student_config,
    type_name,
)
from kddet.project.run_log import read_logs
from kddet.recording.probe import probe
from kddet.teachers.base import NoDetections
from kddet.teachers.settings import ONE, method_options, named_teachers

IMITATION = 'kddet.FineGrainedImitation'


def parse_args() -> argparse.Namespace:
    parser = Parser(description=__doc__)
    what = parser.add_subparsers(dest='what', required=True)
    masks = what.add_parser('masks', help='the mask of each level over validation pictures, with their boxes')
    masks.add_argument('config', help='a distillation config, or any MMDet config; no weights are needed')
    masks.add_argument('--method-options', nargs='+', action=Settings, default={},
                       help='of the imitation, over those of the config: threshold_factor=0.3 scope=level')
    labelenc = what.add_parser('labelenc', help='label map, energy of the encodings and reconstruction')
    labelenc.add_argument('config', help='of step 1, a kddet.LabelEncAutoencoder')
    labelenc.add_argument('checkpoint', help='of step 1')
    labelenc.add_argument('--score-thr', type=share, default=0.3, help='detections below are not drawn')
    compare = what.add_parser('compare', help='ground truth, teacher and student beside each other, with their boxes')
    compare.add_argument('config', help='a distillation config, or that of the student')
    compare.add_argument('checkpoint', help='of the student')
    compare.add_argument('--teacher', metavar='CONFIG', help="of another teacher than the config's")
    compare.add_argument('--teacher-checkpoint', metavar='FILE', help='its weights')
    compare.add_argument('--images', nargs='+', metavar='FILE', help='pictures, in place of the first of the '
                         'validation data; those that belong to it have their ground truth')
    compare.add_argument('--score-thr', type=share, default=0.3, help='default: %(default)s')
    energy = what.add_parser('energy', help='energy of features of teacher, adapted student, and their difference')
    energy.add_argument('config', help='a distillation config with a method that compares features: hint, fgfi')
    energy.add_argument('checkpoint', help='of the distilled run, with its adapters')
    energy.add_argument('--method', help='which, where the config has several')
    for own in (masks, labelenc, compare, energy):
        own.add_argument('--out', required=True, help='folder for the pictures')
        own.add_argument('--number', type=positive, default=4, help='of pictures of the validation data, from its '
                         'beginning (default: %(default)s)')
        own.add_argument('--cfg-options', nargs='+', action=Settings, help='override settings of the config')
    curves = what.add_parser('curves', help='mAP and every loss over training, of one or more runs')
    curves.add_argument('work_dirs', nargs='+', metavar='work_dir', help='of runs, whatever they were trained with')
    curves.add_argument('--out', required=True, metavar='FILE.png', help='the picture')
    return parser.parse_args()


def read_config(args: argparse.Namespace) -> Config:
    cfg = load_config(args.config)
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    return cfg


def imitation(cfg: Config, detector: torch.nn.Module, options: dict) -> kddet.FineGrainedImitation:
    """The config's own imitation, or one with the defaults, on the student alone."""
    found = [method for method in (cfg.model.get('methods') or {}).values() if type_name(method['type']) == IMITATION]
    settings = dict(method_options(found[0]) if found else {}, **options)
    settings.update(type=IMITATION, adapter=None)
    settings.pop('teacher_tap', None)
    kind, own = kddet.FineGrainedImitation, {key: value for key, value in settings.items() if key != 'type'}
    check_options(kind, own, 'the imitation')
    method = kind(**own)
    method.bind(detector, detector)
    records = probe(detector, list(method.student_taps), 'student')
    method.build(records, records)
    return method


@torch.no_grad()
def masks(args: argparse.Namespace) -> None:
    cfg = read_config(args)
    plain = student_config(cfg)
    plain.model.backbone.init_cfg = None
    detector = build_detector(plain).eval()
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
    check_parts(cfg, 'model')
    if (kind := type_name(cfg.model.type)) != 'kddet.LabelEncAutoencoder':
        raise ValueError(f'the model of {args.config} is a {kind}; give the config of step 1, whose model is '
                         'a kddet.LabelEncAutoencoder (configs/labelenc/labelenc-step1_*.py)')
    check_wrapper(cfg)
    if cfg.model.student.get('backbone'):
        cfg.model.student.backbone.init_cfg = None
    model, checkpoint = build_model(cfg).eval(), load_checkpoint(args.checkpoint)
    print(load_weights(model, state_dict_of(checkpoint), name=args.checkpoint,
                       remedy='Give the checkpoint that this config of step 1 wrote, of the same classes and widths'))
    data = first_batch(cfg, model, args.number)
    maps = model.label_maps(data['data_samples'], tuple(data['inputs'].shape[2:]))
    reader = model.label_detector()
    with kddet.Recorder(reader, ['neck'], 'label encoder') as records:
        found = reader.predict(maps, data['data_samples'], rescale=False)
    levels, classes = records.pyramid('neck'), checkpoint_classes(checkpoint) or config_classes(cfg)
    for index, (path, image, sample) in enumerate(pictures(args.out, data)):
        detections = found[index].pred_instances
        detections = detections[detections.scores >= args.score_thr]
        energies = [level[index].square().mean(0) for level in levels]
        draw_encodings(path, image, sample.gt_instances, maps[index].map, energies, mask_titles(levels, image),
                       detections, classes)
        print(f'wrote {path}')


def compare(args: argparse.Namespace) -> None:
    cfg = read_config(args)
    if bool(args.teacher) != bool(args.teacher_checkpoint):
        raise ValueError(f'--teacher{"" if args.teacher else "-checkpoint"} is given without --teacher'
                         f'{"-checkpoint" if args.teacher else ""}; they go together: give both, or neither')
    student = TrainedDetector(cfg, args.checkpoint)
    given = {ONE: dict(config=args.teacher, checkpoint=args.teacher_checkpoint)} if args.teacher else \
        named_teachers(cfg.model) if is_distillation(cfg) else {}
    detectors = dict(teachers(cfg, given, own=not args.teacher))
    if not given:
        print('no teacher in the config, and no --teacher: it is left out')
    detectors['student'] = student
    plain = student_config(cfg)
    for path, truth in given_pictures(plain, args.images) if args.images else validation_pictures(plain, args.number):
        known = None if truth is None else Panel(f'ground truth: {int((~truth.ignored).sum())}', truth,
                                                 config_classes(plain))
        panels = [known] if known else []
        for name, detector in detectors.items():
            found = detector.find(path, args.score_thr)
            panels.append(Panel(f'{name}: {len(found)} above {args.score_thr:g}', found, detector.classes, known))
        file = Path(args.out) / f'{Path(path).stem}.png'
        image = mmcv.imread(path, channel_order='rgb')
        mmcv.imwrite(mmcv.rgb2bgr(compare_picture(image, panels)), str(file))
        print(f'wrote {file}')


def teachers(cfg: Config, given: dict[str, Any], own: bool) -> Iterator[tuple[str, Any]]:
    """Those that have weights, by what they are called; those that find nothing are named and left out.

    Of the config's ``own``, classes have the names of the student's classes that they stand for.
    """
    for name, settings in given.items():
        title = f'teacher {name}'.strip()
        try:
            if settings.get('model'):
                yield title, TaughtDetector(cfg, name)
            elif settings.get('checkpoint'):
                detector = TrainedDetector(load_config(settings['config']), settings['checkpoint'],
                                           pipeline_of=student_config(cfg),
                                           trust=settings.get('trust_checkpoint', False))
                if own:
                    detector.classes = names_as_taught(cfg, name, detector.classes)
                yield title, detector
            else:
                print(f'the {title} has no checkpoint: it is left out')
        except NoDetections as error:
            print(f'the {title} is left out: {error}')


@torch.no_grad()
def energy(args: argparse.Namespace) -> None:
    cfg = read_config(args)
    resolve_class_map(cfg)
    if (kind := type_name(cfg.model.type)) != 'kddet.Distiller' or not named_teachers(cfg.model):
        raise ValueError(f'the model of {args.config} is a {kind} without a teacher; give a distillation '
                         'config, whose features are compared with a teacher\'s')
    cfg.model.student.backbone.init_cfg = None
    model = build_model(cfg).eval()
    name = chosen_method(feature_methods(model.methods), args.method)
    print(load_weights(model, state_dict_of(load_checkpoint(args.checkpoint)), name=args.checkpoint,
                       remedy='Give a checkpoint of the distilled run itself: an exported student has no adapters'))
    data = first_batch(student_config(cfg), model, args.number)
    features = compared_features(model, name, data['inputs'], data['data_samples'])
    if features[0][0].dim() != 4:
        raise ValueError(f'{name} compares vectors, energy is drawn of maps')
    for index, (path, image, sample) in enumerate(pictures(args.out, data)):
        draw_energy(path, image, get_box_tensor(sample.gt_instances.bboxes),
                    [(own[index], other[index]) for own, other in features],
                    mask_titles([own for own, _ in features], image))
        print(f'wrote {path}')


def curves(args: argparse.Namespace) -> None:
    if Path(args.out).suffix != '.png':
        raise ValueError(f'--out {args.out}: the file for the curves ends in .png')
    draw_curves(read_logs(args.work_dirs), Path(args.out))
    print(f'wrote {args.out}')


def chosen_method(methods: dict[str, Any], name: str | None) -> str:
    if not methods:
        raise ValueError('no method of the config compares maps of features, as hint and fgfi do')
    if name is None and len(methods) == 1 or name in methods:
        return name or next(iter(methods))
    raise ValueError(f'--method {name}: choose one of {", ".join(methods)}')


def pictures(out: str, data: dict) -> Iterator[tuple[Path, torch.Tensor, Any]]:
    """A file to write, the network's input and the sample of each picture of a batch."""
    for image, sample in zip(data['inputs'], data['data_samples']):
        yield Path(out) / f'{Path(sample.img_path).stem}.png', image, sample


def main() -> None:
    args = parse_args()
    (check_file if args.what == 'curves' else check_folder)(args.out, '--out')
    dict(masks=masks, labelenc=labelenc, compare=compare, energy=energy, curves=curves)[args.what](args)


if __name__ == '__main__':
    main_guard(main)
