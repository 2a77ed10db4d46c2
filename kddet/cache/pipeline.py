"""Whether a data pipeline gives the same pixels again, and what it can make of one picture."""
from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mmcv.transforms as host
import mmdet.datasets.transforms as det
from mmdet.models.data_preprocessors import BatchFixedSizePad, DetDataPreprocessor
from mmdet.registry import MODELS, TRANSFORMS
from mmengine.config import Config
from mmengine.registry import Registry

RESIZE = ('backend', 'interpolation', 'resize_type')
PIXELS: dict[type, tuple[str, ...]] = {  # what changes pixels, and which settings decide how beside size and flip
    host.LoadImageFromFile: ('to_float32', 'color_type', 'imdecode_backend'),
    host.Resize: RESIZE, det.Resize: RESIZE, det.FixScaleResize: RESIZE, det.ResizeShortestEdge: RESIZE,
    host.RandomChoiceResize: RESIZE,
    det.FixShapeResize: (*RESIZE, 'width', 'height', 'keep_ratio', 'pad_val'),
    host.Pad: ('pad_val', 'padding_mode'), det.Pad: ('pad_val', 'padding_mode'),
    host.CenterCrop: ('crop_size', 'auto_pad', 'pad_cfg'), host.Normalize: ('mean', 'std', 'to_rgb'),
    host.RandomFlip: (), det.RandomFlip: ()}
LABELS = {host.LoadAnnotations, det.LoadAnnotations, det.LoadPanopticAnnotations, det.LoadProposals,
          det.LoadEmptyAnnotations, det.FilterAnnotations, det.SegRescale, det.PackDetInputs}
FLIPS = {host.RandomFlip, det.RandomFlip}
RESIZES = {host.Resize, det.Resize, det.FixScaleResize, det.ResizeShortestEdge, det.FixShapeResize,
           host.RandomChoiceResize}
ADVICE = "take it out of the pipeline, or let the teacher run live with cache=dict(..., on_miss='compute')"


@dataclass(frozen=True)
class Replay:
    """What the pipelines can make of one picture.

    Attributes:
        flips: directions of its flips, None for as it is.
        sizes: how many sizes it can get.
        mirrored: a flip is the last that happens to the pixels, so that the flipped picture is the picture, flipped.
        pixels: what else the pixels depend on, for the key of the cache.
    """
    flips: tuple[str | None, ...] = (None,)
    sizes: int = 1
    mirrored: bool = True
    pixels: str = ''


def check_pipelines(cfg: Config, replayable: Sequence[str] = ()) -> Replay:
    """What the training pipelines of a distillation config can make of one picture.

    Args:
        replayable: names of transforms of the user's own that give the same pixels for the same picture, size and flip.

    Raises:
        ValueError: a transform draws what the data sample does not tell, and a picture cannot be found again; the
            message names it.
    """
    found = [_replay(chain, replayable) for chain in pipelines(cfg)]
    if len({replay.pixels for replay in found}) > 1:
        raise ValueError('the data sources load, resize or pad pictures in different ways, and a teacher cache cannot '
                         f'tell which is which: {"; ".join(sorted({replay.pixels for replay in found}))}. Give them '
                         'one way')
    flips = dict.fromkeys(flip for replay in found for flip in replay.flips)
    return Replay(tuple(flips), max(replay.sizes for replay in found), all(replay.mirrored for replay in found),
                  found[0].pixels + _preprocessing(cfg, replayable))


def pipelines(cfg: Config) -> list[list[dict]]:
    """The transforms of each data source of the training data, with those of wrappers and of switches behind them."""
    chains = _chains(cfg.train_dataloader.dataset)
    switched = [list(hook['switch_pipeline']) for hook in cfg.get('custom_hooks') or ()
                if isinstance(hook, dict) and 'switch_pipeline' in hook]
    return [*chains, *switched]


def transform_class(transform: dict) -> type | None:
    """The class of a transform's config, None where no registry knows it."""
    return _class_of(transform, TRANSFORMS)


def flips_of(transform: dict) -> tuple[str | None, ...]:
    """The directions that a RandomFlip can take, None for none."""
    directions, prob = transform.get('direction', 'horizontal'), transform['prob']
    directions = [directions] if isinstance(directions, str) else list(directions)
    chances = list(prob) if isinstance(prob, (list, tuple)) else [prob / len(directions)] * len(directions)
    taken = [direction for direction, chance in zip(directions, chances) if chance > 0]
    return (*([None] if sum(chances) < 1 else []), *taken)


def _chains(dataset: dict) -> list[list[dict]]:
    own = list(dataset.get('pipeline') or ())
    inner = dataset.get('datasets') or ([dataset['dataset']] if 'dataset' in dataset else [])
    return [[*chain, *own] for part in inner for chain in _chains(part)] if inner else [own]


def _replay(chain: list[dict], replayable: Sequence[str]) -> Replay:
    kinds = [transform_class(transform) for transform in chain]
    flips = [index for index, kind in enumerate(kinds) if kind in FLIPS]
    mirrored = not flips or all(kind in LABELS for kind in kinds[flips[0] + 1:])
    described = []
    for transform, kind in zip(chain, kinds):
        name = _name(transform)
        if kind in FLIPS and mirrored:
            continue
        if kind in PIXELS:
            described.append([name, {key: transform[key] for key in PIXELS[kind] if key in transform}])
        elif name in replayable:
            described.append([name, {key: value for key, value in transform.items() if key != 'type'}])
        elif kind not in LABELS:
            raise ValueError(f'a teacher cache cannot replay {name}: {_reason(kind, name)}; {ADVICE}')
    _check_hidden(chain, kinds)
    choices = [transform['scales'] for transform, kind in zip(chain, kinds) if kind is host.RandomChoiceResize]
    return Replay(flips_of(chain[flips[0]]) if flips else (None,),
                  len(choices[0]) if choices and isinstance(choices[0], list) else 1, mirrored,
                  json.dumps(described, sort_keys=True, default=str))


def _reason(kind: type | None, name: str) -> str:
    if kind is host.RandomResize:
        return 'it draws the size from a range, so that hardly any comes again (RandomChoiceResize has a few sizes)'
    if kind is not None and kind.__module__.startswith(('mmdet.', 'mmcv.')):
        return 'what it makes of a picture is not told by its size and flip'
    return (f"it is not one of MMDet's; if it gives the same pixels for the same picture, size and flip each time, say "
            f"so with cache=dict(..., replayable=['{name}'])")


def _check_hidden(chain: list[dict], kinds: list[type | None]) -> None:
    """Refuse what hides a choice: a second flip, a resize behind a choice of sizes, meta information left out."""
    if sum(kind in FLIPS for kind in kinds) > 1:
        raise ValueError('the pipeline has more than one RandomFlip, and a data sample tells of the last alone; '
                         f'{ADVICE}')
    resizes = [kind for kind in kinds if kind in RESIZES]
    if host.RandomChoiceResize in resizes[:-1]:
        raise ValueError('the pipeline resizes a picture again after RandomChoiceResize, and a data sample tells of '
                         f'the last alone; {ADVICE}')
    for transform, kind in zip(chain, kinds):
        if kind is det.PackDetInputs and 'meta_keys' in transform:
            needed = {'img_path', 'img_shape'} | ({'scale_factor'} if resizes else set()) | (
                {'flip_direction'} if FLIPS.intersection(kinds) else set())
            if missing := sorted(needed - set(transform['meta_keys'])):
                raise ValueError(f'PackDetInputs leaves out {", ".join(missing)}, by which a teacher cache finds a '
                                 'picture again; add to its meta_keys')


def _preprocessing(cfg: Config, replayable: Sequence[str]) -> str:
    """The student's data preprocessor: what it does to pixels, and no augmentation of the batch but padding."""
    places = cfg.model.student, cfg.model, cfg
    own: dict = next((found for place in places if (found := place.get('data_preprocessor'))), {})
    name = _name(own) if own else ''
    if own and _class_of(own, MODELS) is not DetDataPreprocessor and name not in replayable:
        raise ValueError(f'a teacher cache does not know what the {name} makes of a picture; if it is the same each '
                         f"time, say so with cache=dict(..., replayable=['{name}']), otherwise {ADVICE}")
    for augment in own.get('batch_augments') or ():
        if _class_of(augment, MODELS) is not BatchFixedSizePad and _name(augment) not in replayable:
            raise ValueError(f'a teacher cache cannot replay {_name(augment)} of the data preprocessor, which changes '
                             f'a whole batch; {ADVICE}')
        if augment.get('img_pad_value', 0) != own.get('pad_value', 0):
            raise ValueError(f'{_name(augment)} pads with {augment.get("img_pad_value", 0)} and the data preprocessor '
                             f'with {own.get("pad_value", 0)}: where one ends depends on the batch; give both one '
                             'value')
    return json.dumps({key: own[key] for key in ('type', 'mean', 'std', 'pad_value', 'bgr_to_rgb', 'rgb_to_bgr')
                       if key in own}, sort_keys=True, default=str)


def _class_of(config: dict, registry: Registry) -> Any:
    kind = config.get('type')
    return registry.get(kind) if isinstance(kind, str) else kind


def _name(config: dict) -> str:
    kind = config.get('type')
    return str(getattr(kind, '__name__', kind)).rpartition('.')[2]
