"""Fill a teacher's cache ahead of training."""
from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

import mmcv.transforms as host
from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.utils import ProgressBar

from kddet.errors import RunFailed

from .pipeline import FLIPS, Replay, transform_class

IN_ORDER = dict(sampler=dict(type='DefaultSampler', shuffle=False), batch_sampler=None, drop_last=False)


def fill(cache: Any, preprocessor: Any, cfg: Config, dataset: Any) -> None:
    """Run every picture of the training data through the teacher, at every size and flip that the pipelines can give.

    What is there already is not computed again. Batches are of the size of training, all but the last.

    Args:
        cache: of a teacher of a Distiller, open.
        preprocessor: the student's.
        cfg: the training config.
        dataset: what the config builds, for its length.

    Raises:
        ValueError: batches are padded to different sizes, so that what training will ask for is not known ahead.
        RunFailed: the disk is full.
    """
    configs = list(ways(cfg.train_dataloader.dataset, cache.replay))
    bar = ProgressBar(len(configs) * math.ceil(len(dataset) / cfg.train_dataloader.batch_size))
    for config in configs:
        loader = Runner.build_dataloader(Config(dict(cfg.train_dataloader, dataset=config, **IN_ORDER))._cfg_dict)
        for batch in loader:
            data = preprocessor(batch, True)
            cache.fill(data['inputs'], data['data_samples'])
            _check_shapes(cache.shapes)
            bar.update()
    cache.close()
    print()
    if cache.writer.stopped:
        raise RunFailed(f'the teacher cache in {cache.store.folder} is not complete, nothing more could be written: '
                        f'{cache.writer.reason}. What is there is kept: make room, and start this again')


def ways(dataset: dict, replay: Replay) -> Iterator[dict]:
    """The config of a data set with nothing left to chance: once a size, and once a flip where one does not follow from
    another."""
    for size in range(replay.sizes):
        for flip in replay.flips[:1] if replay.mirrored else replay.flips:
            config = copy.deepcopy(dataset)
            _settle(config, size, flip)
            yield config


def _settle(dataset: dict, size: int, flip: str | None) -> None:
    for transform in dataset.get('pipeline') or ():
        kind = transform_class(transform)
        if kind in FLIPS:
            transform.update(prob=float(flip is not None), direction=flip or 'horizontal')
        elif kind is host.RandomChoiceResize and isinstance(transform['scales'], list):
            transform['scales'] = [transform['scales'][min(size, len(transform['scales']) - 1)]]
    for inner in [*(dataset.get('datasets') or ()), *([dataset['dataset']] if 'dataset' in dataset else ())]:
        _settle(inner, size, flip)


def _check_shapes(shapes: set[tuple[int, ...]]) -> None:
    if len(shapes) > 1:
        raise ValueError(f'batches are padded to different sizes ({", ".join(map(str, sorted(shapes)))} so far), by '
                         'which pictures they bring together, and the padding reaches into what the teacher gives: '
                         "give them one, with dict(type='Pad', size=(width, height)) in the pipeline or batch_augments="
                         "[dict(type='BatchFixedSizePad', size=(height, width))] in the data preprocessor, or let "
                         'training fill the cache as it goes')
