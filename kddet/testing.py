"""Tiny detectors made from MMDet's own configs, and toy batches: for tests, quick configs and benchmarks."""
from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor

from kddet.project.config import load_config

NUM_CLASSES = 3
CONFIGS = {
    'retinanet': 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py',
    'fcos': 'mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py',
    'atss': 'mmdet::atss/atss_r50_fpn_1x_coco.py',
    'gfl': 'mmdet::gfl/gfl_r50_fpn_1x_coco.py',
    'faster-rcnn': 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
    'mask-rcnn': 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py',
    'cascade-rcnn': 'mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py',
}


def tiny_detector(name: str, width: int = 8, num_classes: int = NUM_CLASSES) -> ConfigDict:
    """The model config of one of MMDet's detectors with a thin ResNet-18; build it twice for teacher and student.

    Args:
        name: a key of :data:`CONFIGS`.
        width: channels of the first stage; the neck has twice as many.
        num_classes: foreground classes.
    """
    if name not in CONFIGS:
        raise ValueError(f'tiny detector {name!r}, there are {", ".join(CONFIGS)}')
    model = copy.deepcopy(_host_model(name))
    model.backbone.update(depth=18, base_channels=width, init_cfg=None, frozen_stages=-1, norm_eval=False,
                          norm_cfg=dict(type='BN', requires_grad=True), style='pytorch')
    model.neck.update(in_channels=[width, 2 * width, 4 * width, 8 * width], out_channels=2 * width)
    heads = [model[head] for head in ('bbox_head', 'rpn_head') if head in model]
    for head in heads:
        head.update(in_channels=2 * width, feat_channels=2 * width)
        if 'stacked_convs' in head:
            head.update(stacked_convs=1)
        if head.type in ('ATSSHead', 'GFLHead', 'FCOSHead'):
            head.norm_cfg = dict(type='GN', num_groups=4, requires_grad=True)
    if 'bbox_head' in model:
        model.bbox_head.num_classes = num_classes
    if 'roi_head' in model:
        _shrink_roi_head(model, width, num_classes)
    return model


@functools.cache
def _host_model(name: str) -> ConfigDict:
    """Read once: each time, MMEngine would look for it in all metafiles of MMDet."""
    return load_config(CONFIGS[name]).model


def _shrink_roi_head(model: ConfigDict, width: int, num_classes: int) -> None:
    head = model.roi_head
    bbox_heads, stages = ([config] if isinstance(config, dict) else config
                          for config in (head.bbox_head, model.train_cfg.rcnn))
    for bbox_head in bbox_heads:
        bbox_head.update(in_channels=2 * width, fc_out_channels=4 * width, num_classes=num_classes)
    for stage in stages:
        stage['sampler'].update(num=32)
    head.bbox_roi_extractor.out_channels = 2 * width
    if 'mask_head' in head:
        head.mask_roi_extractor.out_channels = 2 * width
        head.mask_head.update(num_convs=1, in_channels=2 * width, conv_out_channels=2 * width, num_classes=num_classes)
    model.train_cfg.rpn_proposal.update(nms_pre=100, max_per_img=50)


def toy_samples(boxes: Sequence[Sequence[Sequence[float]]] = (((8, 8, 40, 56), (50, 30, 110, 90)), ((20, 20, 70, 60),)),
                sizes: Sequence[tuple[int, int]] = ((128, 128), (96, 120)), num_classes: int = NUM_CLASSES,
                seed: int = 0) -> dict:
    """A batch as a dataloader collates it: ``inputs`` uint8 ``(3, H, W)`` each, and data samples with boxes and masks.

    Args:
        boxes: per image, ``(x1, y1, x2, y2)`` in pixels; may be empty.
        sizes: per image, (height, width).
        num_classes: labels run through them.
        seed: of the pixels.
    """
    random = torch.Generator().manual_seed(seed)
    inputs: list[Tensor] = []
    samples: list[DetDataSample] = []
    for index, (own, size) in enumerate(zip(boxes, sizes)):
        inputs.append(torch.randint(0, 256, (3, *size), generator=random, dtype=torch.uint8))
        instances = InstanceData(bboxes=torch.tensor(own, dtype=torch.float32).reshape(-1, 4),
                                 labels=torch.arange(len(own)) % num_classes, masks=_box_masks(own, size))
        sample = DetDataSample(gt_instances=instances, ignored_instances=InstanceData(
            bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long)))
        sample.set_metainfo(dict(img_id=index, img_shape=size, ori_shape=size, pad_shape=size, batch_input_shape=size,
                                 scale_factor=(1.0, 1.0)))
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


def training_step(model: Any, batch: dict | None = None, seed: int = 7) -> tuple[dict, dict[str, Tensor]]:
    """The log of one training step on a batch, :func:`toy_samples` by default, and the gradients of the student.

    Args:
        model: a Distiller, or a plain detector.
        seed: set before the step, for the samplers.
    """
    model.train()
    torch.manual_seed(seed)
    data = model.data_preprocessor(copy.deepcopy(batch or toy_samples()), True)
    loss, log = model.parse_losses(model(**data, mode='loss'))
    loss.backward()
    return log, {name: parameter.grad.clone() for name, parameter in getattr(model, 'student', model).named_parameters()
                 if parameter.grad is not None}


def _box_masks(boxes: Sequence[Sequence[float]], size: tuple[int, int]) -> BitmapMasks:
    masks = np.zeros((len(boxes), *size), dtype=np.uint8)
    for mask, (left, top, right, bottom) in zip(masks, boxes):
        mask[int(top):int(bottom), int(left):int(right)] = 1
    return BitmapMasks(masks, *size)
