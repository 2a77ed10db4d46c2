"""What LabelEnc asks of a detector, and which of its parts read encodings in place of features."""
from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from kddet.options import check_options
from kddet.recording.recorder import Records

from .encoder import STRIDES, LabelEncoder

HEADS = ('rpn_head', 'bbox_head', 'roi_head')
NECK = 'neck'
NOT_SHARED = 'backbone', NECK, 'data_preprocessor'


def build_encoder(detector: Any, records: Records, options: dict) -> LabelEncoder:
    """The label encoder of a detector.

    Args:
        records: of the probe image, with those of its backbone.
        options: :class:`LabelEncoder`'s own, but classes and widths.

    Raises:
        ValueError: names the option that is wrong, or shows outputs of the backbone that labels cannot be encoded to.
    """
    pyramid = records.pyramid('backbone')
    if len(pyramid) > len(STRIDES):
        shapes = [tuple(level.shape[1:]) for level in pyramid]
        raise ValueError(f'the backbone gives {shapes} (C, H, W) for an image of {records.image_size[0]} pixels; '
                         f'LabelEnc needs {len(STRIDES)} outputs at most, of strides 4, 8, 16 and 32, and a neck that '
                         'reads no more: one that reads the picture too, as that of DetectoRS, has none where there '
                         'are only labels')
    kind = partial(LabelEncoder, num_classes_of(detector), [level.shape[1] for level in pyramid])
    check_options(kind, options, 'the encoder')
    return kind(**options)


def check_neck(detector: Any) -> None:
    """Refuse a detector without a neck.

    Raises:
        ValueError: says so.
    """
    if not getattr(detector, 'with_neck', False):
        raise ValueError(f'{type(detector).__name__} has no neck; LabelEnc encodes labels to what a neck gives')


def shared_parts(detector: Any) -> dict[str, nn.Module]:
    """What features and encodings share: all of a detector but backbone, neck and data preprocessor, masks too."""
    return {name: part for name, part in detector.named_children() if name not in NOT_SHARED}


def check_heads(detector: Any) -> None:
    """Refuse heads that cannot read encodings in place of features.

    Raises:
        ValueError: says why.
    """
    if all(getattr(detector, head, None) is None for head in HEADS):
        raise ValueError(f'{type(detector).__name__} has none of the heads {", ".join(HEADS)} that LabelEnc shares')
    for head, part in shared_parts(detector).items():
        for name, module in part.named_modules():
            if isinstance(module, _BatchNorm):
                raise ValueError(
                    f'{head}.{name} is a {type(module).__name__}: one head over features and encodings would mix their '
                    "statistics; give the head norm_cfg=dict(type='GN', num_groups=32), or none")


@torch.no_grad()
def check_encodings(encoder: LabelEncoder, neck: nn.Module, records: Records) -> None:
    """Refuse a detector whose features of the probe image the encodings do not match level by level.

    Raises:
        ValueError: shows both.
    """
    training = neck.training
    neck.eval()
    encodings = neck(encoder(torch.zeros(1, encoder.num_classes, *records.image_size)))
    neck.train(training)
    features, encoded = ([tuple(level.shape[1:]) for level in levels] for levels in (records.pyramid(NECK), encodings))
    if features != encoded or len({shape[0] for shape in features}) > 1:
        raise ValueError(f'the neck gives {features} (C, H, W) for an image of {records.image_size[0]} pixels, and '
                         f'{encoded} for its labels; LabelEnc needs a backbone whose outputs have strides 4, 8, 16 and '
                         '32, or the last of these, and a neck of one width')


def num_classes_of(detector: Any) -> int:
    """Foreground classes of the head that classifies."""
    head = getattr(detector, 'roi_head', None)
    if head is None:
        return detector.bbox_head.num_classes
    first: Any = head.bbox_head[0] if isinstance(head.bbox_head, nn.ModuleList) else head.bbox_head
    return first.num_classes
