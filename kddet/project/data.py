"""Whether the data of a config is there and is what it should be: annotations, classes, pictures."""
from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmcv.transforms import LoadImageFromFile
from mmdet.registry import DATASETS, METRICS
from mmengine.config import Config
from torch.utils.data import DataLoader, IterableDataset

from kddet.options import some

from .config import data_sources

MOST = 1000  # pictures that are looked for


def check_data_files(cfg: Config, *splits: str) -> None:
    """Before anything is built: see that annotations and folders of pictures exist that MMDet's data sets will read.

    Data sets of the user's own are left alone: what their settings mean is theirs.

    Args:
        splits: ``'train'``, ``'val'``, ``'test'``.

    Raises:
        FileNotFoundError: names the setting and the path.
    """
    for split in splits:
        for source in data_sources((cfg.get(f'{split}_dataloader') or {}).get('dataset') or {}):
            if not _is_host(DATASETS, source) or _is_remote(source):
                continue
            where, (annotations, folder) = f'{split}_dataloader.dataset', _paths(source)
            if annotations and not os.path.isfile(annotations):
                raise FileNotFoundError(f'the annotations {annotations!r} of {where} do not exist'
                                        f'{_beneath(annotations)}; correct ann_file ({source.get("ann_file")!r}) or '
                                        f'data_root ({source.get("data_root")!r})')
            if folder and not os.path.isdir(folder):
                raise FileNotFoundError(f'the folder of pictures {folder!r} of {where} does not exist'
                                        f'{_beneath(folder)}; correct data_prefix or data_root '
                                        f'({source.get("data_root")!r})')
        for metric in _listed(cfg.get(f'{split}_evaluator')):
            file = metric.get('ann_file')
            if _is_host(METRICS, metric) and not _is_remote(metric) and file and not os.path.isfile(file):
                raise FileNotFoundError(f'the annotations {file!r} of {split}_evaluator do not exist{_beneath(file)}; '
                                        'its ann_file is a whole path, without data_root')


def check_loader(loader: Any, where: str) -> None:
    """Before the first batch: a data loader has batches, and the pictures of its data set exist.

    Args:
        loader: that MMEngine built.
        where: the setting it was built from.

    Raises:
        ValueError: no picture, or no batch.
        FileNotFoundError: says how many pictures are missing, and names the first.
    """
    if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset):
        return
    count = len(loader.dataset)  # type: ignore[arg-type]
    if not count:
        raise ValueError(f'the data set of {where} has no pictures; look at its ann_file, filter_cfg and indices')
    if not len(loader):
        raise ValueError(f'the {count} pictures of {where} make no batch; lower batch_size ({loader.batch_size}), or '
                         'write drop_last=False')
    for dataset in data_leaves(loader.dataset):
        paths = _picture_paths(dataset)
        missing = [path for path in paths if not os.path.isfile(path)]
        if missing:
            raise FileNotFoundError(f'{len(missing)} of {len(paths)} pictures of {where} that were looked for do not '
                                    f'exist, the first is {missing[0]!r}; correct data_root or data_prefix, or take '
                                    'them out of the annotations')


def annotation_problem(options: Mapping[str, Any], coco: bool = True) -> str | None:
    """What is wrong with the annotations that a data set was to be built from, in a sentence.

    Args:
        options: of the data set.
        coco: their format is COCO's; of others only the file is looked at.
    """
    path, _ = _paths(options)
    if not path or not str(path).endswith('.json') and not os.path.isdir(path):
        return None
    name = f'the annotations {str(path)!r}'
    if not os.path.isfile(path):
        return f'{name} {"are a folder" if os.path.isdir(path) else "do not exist"}; give the json in ann_file'
    try:
        content = json.loads(Path(path).read_text(encoding='utf-8'))
    except ValueError as error:
        return f'{name} are not json ({error}); the file may have been cut short: write it again'
    if not coco:
        return None
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in
                                                ('images', 'annotations', 'categories')):
        what = f'has the keys {some(content)}' if isinstance(content, dict) else f'is a {type(content).__name__}'
        return f'{name} are not of COCO: a dict with the lists images, annotations and categories is asked for, this ' \
               f'{what}'
    return _content_problem(content, name, options)


def _content_problem(content: dict, name: str, options: Mapping[str, Any]) -> str | None:
    for kind, keys in (('images', ('id', 'file_name', 'width', 'height')),
                       ('annotations', ('image_id', 'category_id', 'bbox')), ('categories', ('id', 'name'))):
        for index, entry in enumerate(content[kind]):
            if not isinstance(entry, dict):
                return f'{name} are not of COCO: {kind}[{index}] is {entry!r}, it must be a dict'
            if absent := [key for key in keys if key not in entry]:
                return f'{name} are not of COCO: {kind}[{index}] has no {", ".join(absent)}; every one needs ' \
                       f'{", ".join(keys)}'
            if 'bbox' in keys and not _is_box(entry['bbox']):
                return f"{name} are not of COCO: the bbox of {kind}[{index}] is {entry['bbox']!r}, it must be four " \
                       'numbers, [x, y, width, height] in pixels'
    if not content['images']:
        return f'{name} list no images; give others in ann_file'
    known = [entry['name'] for entry in content['categories']]
    wanted = (options.get('metainfo') or {}).get('classes') or known
    if not set(wanted) & set(known):
        return f'{name} have none of the classes {some(wanted)} of metainfo; they have {some(known)}: write these ' \
               'names in metainfo=dict(classes=...)'
    numbers = {entry['id'] for entry in content['categories'] if entry['name'] in wanted}
    given = {box['category_id'] for box in content['annotations']}
    if given and not given & numbers:
        return f'{name} have {len(content["annotations"])} boxes, and none of a class: their category_id is ' \
               f'{some(sorted(given, key=str))}, and the ids of the classes are {some(sorted(numbers, key=str))}; ' \
               'correct category_id, or categories'
    if not content['annotations'] and (options.get('filter_cfg') or {}).get('filter_empty_gt'):
        return f'{name} have no boxes, and filter_cfg=dict(filter_empty_gt=True) leaves out pictures without: no ' \
               'picture is left'
    return None


def _is_box(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 4 and all(
        isinstance(number, (int, float)) and math.isfinite(number) for number in value)


def _is_host(registry: Any, part: Mapping[str, Any]) -> bool:
    kind = registry.get(part.get('type')) if isinstance(part.get('type'), str) else part.get('type')
    return getattr(kind, '__module__', '').partition('.')[0] in ('mmdet', 'kddet')


def _is_remote(part: Mapping[str, Any]) -> bool:
    return bool(part.get('backend_args')) or any('://' in str(part.get(key)) for key in ('data_root', 'ann_file'))


def _paths(source: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Annotations and folder of pictures, as MMEngine joins them with ``data_root``."""
    root = source.get('data_root') or ''
    prefixes = source.get('data_prefix') or {}
    prefix = prefixes.get('img') if isinstance(prefixes, Mapping) else None
    return tuple(os.path.join(root, own) if isinstance(own, (str, os.PathLike)) and own else None
                 for own in (source.get('ann_file'), prefix))  # type: ignore[return-value]


def _beneath(path: str) -> str:
    return '' if os.path.isabs(path) else f' (working directory: {os.getcwd()})'


def data_leaves(dataset: Any) -> Iterator[Any]:
    """The data sets inside wrappers."""
    inner = getattr(dataset, 'datasets', None) or ([dataset.dataset] if hasattr(dataset, 'dataset') else [])
    for own in inner:
        yield from data_leaves(own)
    if not inner:
        yield dataset


def _picture_paths(dataset: Any) -> list[str]:
    """Of all pictures, or of some from beginning to end, where they are local files that MMCV loads."""
    steps = getattr(getattr(dataset, 'pipeline', None), 'transforms', ())
    if not any(isinstance(step, LoadImageFromFile) and not getattr(step, 'backend_args', None) for step in steps):
        return []
    count = len(dataset)
    found = (dataset.get_data_info(index).get('img_path') for index in range(0, count, max(1, -(-count // MOST))))
    return [path for path in found if isinstance(path, str) and '://' not in path]


def _listed(value: Any) -> list:
    return list(value) if isinstance(value, (list, tuple)) else [value] if value else []
