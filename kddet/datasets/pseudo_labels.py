"""A detector's detections on unlabelled pictures, as a COCO json that says which detector and which threshold."""
from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from mmcv.transforms import Compose
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader, Dataset

SOURCES = {'checkpoint_sha256', 'boxes_sha256'}  # what a json of pseudo labels says that its boxes are from
SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')


def pictures_of(images: str | Path | None, annotations: str | Path | None) -> tuple[Path, list[dict]]:
    """The pictures of a folder, or those that a COCO json names; its own boxes are never read.

    Returns:
        The folder, and ``[{'id': ..., 'file_name': ...}, ...]``.

    Raises:
        FileNotFoundError, ValueError: nothing there, or no COCO json.
    """
    if annotations is None and images is None:
        raise ValueError('neither a folder of images nor a COCO json is given')
    folder = Path(images) if images is not None else Path(str(annotations)).parent
    if not folder.is_dir():
        raise FileNotFoundError(f'folder of images {str(folder)!r} does not exist')
    if annotations is None:
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob('*')
                       if path.suffix.lower() in SUFFIXES)
        found: list[dict] = [dict(id=index, file_name=name) for index, name in enumerate(names, 1)]
    else:
        found = [dict(id=entry['id'], file_name=entry['file_name']) for entry in read_coco(annotations)['images']]
        missing = [entry['file_name'] for entry in found if not (folder / entry['file_name']).is_file()]
        if missing:
            raise FileNotFoundError(f'{len(missing)} of {len(found)} images of {annotations} are not in '
                                    f'{str(folder)!r}, the first is {missing[0]!r}; give their folder')
    if not found:
        raise ValueError(f'no images in {str(annotations or folder)!r} (suffixes {", ".join(SUFFIXES)})')
    return folder, found


def category_ids(classes: Sequence[str], annotations: str | Path | None) -> list[int]:
    """The id of each class: that of the json's category of the same name, or 1, 2, ..."""
    categories = read_coco(annotations).get('categories', []) if annotations else []
    known = {entry['name']: entry['id'] for entry in categories}
    missing = [name for name in classes if name not in known] if known else []
    if missing:
        raise ValueError(f"the detector's classes {', '.join(missing)} are not among the categories of {annotations} "
                         f'({", ".join(known)})')
    return [known.get(name, index) for index, name in enumerate(classes, 1)]


class PseudoLabels:
    """Detections as they come in, one line a picture in ``<out>.part``, so that an interrupted run goes on.

    Args:
        out: the json that :meth:`write` leaves, whole.
        origin: what the labels come from (hash of the checkpoint, threshold ...); a ``.part`` of another origin is
            refused.
    """

    def __init__(self, out: str | Path, origin: dict) -> None:
        self.out, self.origin = Path(out), origin
        self.part = self.out.with_name(self.out.name + '.part')
        self.done: dict[Any, dict] = {}
        self.out.parent.mkdir(parents=True, exist_ok=True)
        if self.part.is_file():
            self._read()
        else:
            self._append(origin)

    def add(self, picture: dict) -> None:
        """Keep a picture: ``id``, ``file_name``, ``width``, ``height`` and ``detections`` (label, score, box xywh)."""
        self.done[picture['id']] = picture
        self._append(picture)

    def write(self, classes: Sequence[str], ids: Sequence[int], order: Sequence[dict], keep_empty: bool) -> dict:
        """Write the COCO json in the order of the pictures and drop the ``.part``."""
        images: list[dict] = []
        annotations: list[dict] = []
        for picture in (self.done[entry['id']] for entry in order):
            if picture['detections'] or keep_empty:
                images.append({key: picture[key] for key in ('id', 'file_name', 'width', 'height')})
            for label, score, box in picture['detections']:
                annotations.append(dict(id=len(annotations) + 1, image_id=picture['id'], category_id=ids[label],
                                        bbox=box, area=round(box[2] * box[3], 2), iscrowd=0, score=score))
        content = dict(info=dict(self.origin, description='pseudo labels, not ground truth'), images=images,
                       annotations=annotations, categories=[dict(id=i, name=n) for i, n in zip(ids, classes)])
        temporary = self.out.with_name(f'.{self.out.name}.tmp')
        temporary.write_text(json.dumps(content))
        os.replace(temporary, self.out)
        self.part.unlink()
        return content

    def _append(self, entry: dict) -> None:
        with self.part.open('a') as file:
            file.write(json.dumps(entry) + '\n')

    def _read(self) -> None:
        lines = self.part.read_text().splitlines(keepends=True)
        whole = [line for line in lines if line.endswith('\n')]  # a kill may have cut the last one
        if not whole or json.loads(whole[0]) != self.origin:
            raise ValueError(f'{self.part} was begun with another detector, threshold or set of images '
                             f'({whole[0].strip() if whole else "empty"}); delete it to begin anew')
        if len(whole) < len(lines):
            self.part.write_text(''.join(whole))
        self.done = {entry['id']: entry for entry in map(json.loads, whole[1:])}


@torch.no_grad()
def detect(detector: Any, pipeline: Sequence[dict], folder: Path, pictures: Sequence[dict], *, score_thr: float,
           batch_size: int, workers: int = 0) -> Iterator[dict]:
    """Run a detector over pictures and yield what :meth:`PseudoLabels.add` takes, picture by picture.

    Args:
        detector: in ``eval()``, on its device.
        pipeline: the detector's test pipeline; annotations are not loaded.
        score_thr: detections below are left out.
    """
    steps = Compose([step for step in pipeline if step['type'] != 'LoadAnnotations'])
    loader = DataLoader(_Pictures(steps, folder, pictures), batch_size=batch_size, num_workers=workers,
                        collate_fn=pseudo_collate)
    remaining = iter(pictures)
    for batch in _with_the_message(loader):
        for sample in detector.test_step(batch):
            picture, (height, width) = next(remaining), sample.ori_shape[:2]
            found = sample.pred_instances
            found = found[found.scores >= score_thr]
            limit = found.bboxes.new_tensor([width, height, width, height])
            boxes = torch.minimum(found.bboxes.clamp(min=0), limit)
            boxes[:, 2:] -= boxes[:, :2]
            detections = [(label, round(score, 4), [round(side, 2) for side in box]) for label, score, box in
                          zip(found.labels.tolist(), found.scores.tolist(), boxes.tolist()) if min(box[2:]) >= 1]
            yield dict(picture, width=width, height=height, detections=detections)


def _with_the_message(loader: DataLoader) -> Iterator[Any]:
    """A worker's error is raised again by torch with the whole traceback for a message; the message is its end."""
    try:
        yield from loader
    except ValueError as error:
        raise ValueError(str(error).rpartition('ValueError: ')[2].strip()) from error


class Progress:
    """A line every few seconds: pictures done, and how long the rest takes."""

    def __init__(self, total: int, done: int, every: float = 10) -> None:
        self.total, self.done, self.every = total, done, every
        self.began, self.first, self.last = time.monotonic(), done, 0.0

    def step(self) -> None:
        self.done += 1
        now = time.monotonic()
        if now - self.last >= self.every or self.done == self.total:
            self.last = now
            left = (now - self.began) / (self.done - self.first) * (self.total - self.done)
            print(f'{self.done} of {self.total} images, {left / 60:.0f} min left', flush=True)


class _Pictures(Dataset):

    def __init__(self, steps: Compose, folder: Path, pictures: Sequence[dict]) -> None:
        self.steps, self.folder, self.pictures = steps, folder, pictures

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> dict:
        picture = self.pictures[index]
        path = self.folder / picture['file_name']
        try:
            return self.steps(dict(img_path=str(path), img_id=picture['id']))
        except Exception as error:
            raise ValueError(f'image {str(path)!r} cannot be read ({str(error).splitlines()[0]}); what was done is '
                             'kept, run again without it') from error


def read_coco(path: str | Path | None) -> dict:
    path = Path(str(path))
    if not path.is_file():
        raise FileNotFoundError(f'annotations {str(path)!r} do not exist')
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f'{path} is not json ({error})') from error
    if not isinstance(content, dict) or not isinstance(content.get('images'), list):
        raise ValueError(f'{path} is no COCO json: it has no list of images')
    return content


def check_pseudo_labels(path: str | Path, classes: Sequence[str]) -> None:
    """See that a json was written by :meth:`PseudoLabels.write`, box by box, for these classes.

    Raises:
        FileNotFoundError, ValueError: it was not.
    """
    content = read_coco(path)
    scoreless = sum('score' not in box for box in content.get('annotations', ()))
    if not SOURCES.intersection(content.get('info') or {}) or scoreless:
        what = f'{scoreless} of its boxes have no score' if scoreless else 'it names no checkpoint'
        raise ValueError(f'{path} does not hold pseudo labels ({what}), and ground truth of unlabelled pictures is not '
                         'used; write them with tools/pseudo_label.py, or set use_hard_loss=False')
    known = [entry['name'] for entry in content.get('categories', ())]
    if missing := [name for name in classes if name not in known]:
        raise ValueError(f'the classes {", ".join(missing)} of the data set are not among those of {path} '
                         f'({", ".join(known)}); give metainfo=dict(classes=...) as in the labelled data set')
