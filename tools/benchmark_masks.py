"""The masks of fine-grained imitation beside a training step of RetinaNet-R50, on the same device, in one run."""
import argparse

import torch
from mmengine.registry import MODELS, init_default_scope

from kddet.benchmarks.measure import median_seconds
from kddet.benchmarks.step import random_boxes
from kddet.command_line.parser import Parser, add_device_argument, main_guard, positive, quiet
from kddet.heads.priors import LevelPriors
from kddet.masks import anchor_sides, batch_fine_grained_masks, near_objects
from kddet.project.config import load_config
from kddet.testing import toy_samples


def parse_args() -> argparse.Namespace:
    parser = Parser(description=__doc__)
    add_device_argument(parser)
    parser.add_argument('--shape', nargs=2, type=positive, default=(800, 1344), metavar=('HEIGHT', 'WIDTH'),
                        help='of the batch, in pixels (default: 800 1344)')
    parser.add_argument('--batch', type=positive, default=2, help='pictures (default: %(default)s)')
    parser.add_argument('--boxes', type=int, default=100, help='a picture (default: %(default)s)')
    parser.add_argument('--iters', type=positive, default=3,
                        help='measured, after one to warm up (default: %(default)s)')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    quiet()
    init_default_scope('mmdet')
    torch.manual_seed(0)
    cfg = load_config('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py').model
    cfg.backbone.init_cfg = None
    detector = MODELS.build(cfg).to(args.device).train()
    height, width = args.shape
    samples = toy_samples(boxes=[random_boxes(args.boxes, height, width) for _ in range(args.batch)],
                          sizes=[(height, width)] * args.batch, num_classes=80)
    data = detector.data_preprocessor(samples, True)
    boxes = [sample.gt_instances.bboxes for sample in data['data_samples']]
    with torch.no_grad():
        maps = detector.extract_feat(data['inputs'])
    sizes = [(level.shape[2], level.shape[3]) for level in maps]
    priors = LevelPriors(detector.bbox_head, 8)
    anchors = [priors.anchors(index, size, boxes[0].device) for index, size in enumerate(sizes)]
    sides = [anchor_sides(level, size) for level, size in zip(anchors, sizes)]

    def step() -> None:
        detector.zero_grad()
        loss, _ = detector.parse_losses(detector.loss(data['inputs'], data['data_samples']))
        loss.backward()
    seconds = median_seconds(dict(
        step=step,
        masks=lambda: near_objects(sides, sizes, boxes, threshold_factor=0.5, scope='global', legacy=False),
        first=lambda: batch_fine_grained_masks(anchors, sizes, boxes)), args.iters, args.device)
    print(f'RetinaNet-R50, {args.batch} x 3 x {height} x {width}, {args.boxes} boxes a picture, '
          f'{sum(len(level) for level in anchors)} anchors, {args.device}, {torch.get_num_threads()} threads, '
          f'median of {args.iters}:')
    print(f'  training step (forward, loss, backward)   {1e3 * seconds["step"]:10.1f} ms')
    for name, title in (('masks', 'masks'), ('first', 'masks of a size not seen before')):
        print(f'  {title:40}  {1e3 * seconds[name]:10.1f} ms   {seconds[name] / seconds["step"]:.2%} of the step')


if __name__ == '__main__':
    main_guard(main)
