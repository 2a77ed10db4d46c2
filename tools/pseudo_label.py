"""Label pictures with a trained detector: its detections above a threshold, as a COCO json. Interrupted, it goes on.

Or with the detections that any other tool wrote: --boxes RESULTS.json, for the pictures and categories of --ann.
"""
import argparse
from collections.abc import Sequence

from mmengine.registry import init_default_scope

from kddet.checkpoint import file_hash, load_checkpoint, load_weights, local_copy, student_weights
from kddet.command_line.parser import (
    Parser,
    Settings,
    add_device_argument,
    check_file,
    main_guard,
    natural,
    positive,
    share,
)
from kddet.datasets.foreign_boxes import pictures_with_boxes, read_results
from kddet.datasets.pseudo_labels import Progress, PseudoLabels, category_ids, detect, pictures_of, read_coco
from kddet.project.classes import checkpoint_classes, config_classes
from kddet.project.config import build_detector, load_config, student_config


def parse_args() -> argparse.Namespace:
    parser = Parser(description=__doc__)
    parser.add_argument('config', nargs='?', help='of the detector, the teacher; a distillation config stands for its '
                        'student')
    parser.add_argument('checkpoint', nargs='?', help='its weights')
    parser.add_argument('--boxes', metavar='RESULTS', help='in place of a detector: a json of COCO results on the '
                        'pictures of --ann, from any tool')
    parser.add_argument('--category-offset', type=int, default=0, help='added to the category_id of --boxes, 1 for a '
                        'tool that counts classes from 0 (default: 0)')
    parser.add_argument('--images', help='folder of pictures; with --ann, the folder that its file names start from')
    parser.add_argument('--ann', help='COCO json that names the pictures; boxes in it are not read')
    parser.add_argument('--out', required=True, help='COCO json to write')
    parser.add_argument('--score-thr', type=share, default=0.4, help='detections below are left out (default: 0.4)')
    parser.add_argument('--drop-empty', action='store_true', help='leave out pictures without a detection')
    parser.add_argument('--batch-size', type=positive, default=8, help='default: %(default)s')
    parser.add_argument('--workers', type=natural, default=2, help='that load pictures (default: %(default)s)')
    add_device_argument(parser)
    parser.add_argument('--cfg-options', nargs='+', action=Settings, help='override settings of the config')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    check_file(args.out, '--out')
    label_with_boxes(args) if args.boxes else label_with_detector(args)


def label_with_boxes(args: argparse.Namespace) -> None:
    if args.config or not args.ann:
        raise ValueError(f'--boxes {args.boxes} is given ' + (f'with a detector, {args.config}; leave one of them out'
                         if args.config else 'without --ann, the COCO json that names the pictures and categories'))
    folder, pictures = pictures_of(args.images, args.ann)
    content = read_coco(args.ann)
    if not (categories := content.get('categories')):
        raise ValueError(f'{args.ann} has no categories, which say what the category_id of a box means; add them')
    entries = [dict(entry, category_id=entry['category_id'] + args.category_offset) for entry in
               read_results(args.boxes)] if args.category_offset else read_results(args.boxes)
    ids = [entry['id'] for entry in categories]
    labelled = list(pictures_with_boxes(entries, content['images'], ids, folder, score_thr=args.score_thr))
    labels = PseudoLabels(args.out, dict(boxes_sha256=file_hash(args.boxes), score_thr=args.score_thr,
                                         images=len(pictures), first=pictures[0]['file_name']))
    for found in labelled:
        labels.add(found)
    write(labels, args, [entry['name'] for entry in categories], ids, pictures)


def label_with_detector(args: argparse.Namespace) -> None:
    if not args.config or not args.checkpoint:
        raise ValueError('a detector is needed, CONFIG and CHECKPOINT, or the boxes of one, --boxes RESULTS.json')
    cfg = student_config(load_config(args.config))
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    folder, pictures = pictures_of(args.images, args.ann)
    file = local_copy(args.checkpoint)
    checkpoint = load_checkpoint(file)
    classes = checkpoint_classes(checkpoint) or config_classes(cfg)
    if classes is None:
        raise ValueError(f'neither {args.checkpoint} nor {args.config} says which classes the detector has')
    ids = category_ids(classes, args.ann)
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    detector = build_detector(cfg)
    print(load_weights(detector, student_weights(checkpoint), name=args.checkpoint))
    labels = PseudoLabels(args.out, dict(checkpoint_sha256=file_hash(file), score_thr=args.score_thr,
                                         images=len(pictures), first=pictures[0]['file_name']))
    todo = [picture for picture in pictures if picture['id'] not in labels.done]
    progress = Progress(len(pictures), len(labels.done))
    for found in detect(detector.to(args.device).eval(), cfg.test_dataloader.dataset.pipeline, folder, todo,
                        score_thr=args.score_thr, batch_size=args.batch_size, workers=args.workers):
        labels.add(found)
        progress.step()
    write(labels, args, classes, ids, pictures)


def write(labels: PseudoLabels, args: argparse.Namespace, classes: Sequence[str], ids: Sequence[int],
          pictures: Sequence[dict]) -> None:
    content = labels.write(classes, ids, pictures, keep_empty=not args.drop_empty)
    print(f'{args.out}: {len(content["annotations"])} boxes on {len(content["images"])} of {len(pictures)} images')


if __name__ == '__main__':
    main_guard(main)
