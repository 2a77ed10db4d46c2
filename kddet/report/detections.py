"""What a detector finds on validation data, worked out once and kept."""
from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner import Runner

from kddet.checkpoint import file_hash, local_copy
from kddet.files import write_whole
from kddet.project.evaluation import quiet_host

from .truth import Truth

Step = Callable[[Any], list]


def detections(make_step: Callable[[], Step], truth: Truth, loader: dict, checkpoint: str, about: Any,
               cache: Path, tell: Callable[[bool], None] = lambda anew: None) -> list[dict]:
    """Boxes in COCO's format of results, from ``cache`` where they have been worked out before.

    Args:
        make_step: gives what makes data samples with detections out of a batch; their labels are those of the data.
        truth: whose pictures and classes they are.
        loader: config of the dataloader.
        checkpoint: of the detector.
        about: whatever else decides what is found: what is kept goes by it, the weights, and the data.
        cache: a folder.
        tell: is told first whether they are worked out anew.

    Raises:
        ValueError: a label beyond the classes.
    """
    loader = {key: value for key, value in loader.items() if key != 'persistent_workers'}
    named = Config(dict(about=about, loader={key: value for key, value in loader.items() if 'workers' not in key}))
    parts = [file_hash(local_copy(checkpoint), 64), truth.objects.dataset, truth.classes, named.to_dict()]
    key = hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:12]
    file = cache / f'detections-{parts[0][:12]}-{key}.json.gz'
    anew = not file.is_file()
    tell(anew)
    if anew:
        _write(file, _detect(make_step(), truth, loader))
    return json.loads(gzip.decompress(file.read_bytes()))


@torch.no_grad()
def _detect(step: Step, truth: Truth, loader: dict) -> list[dict]:
    ids = {category['name']: category['id'] for category in truth.objects.dataset['categories']}
    categories = [ids[name] for name in truth.classes]
    found = []
    with quiet_host():  # pycocotools prints
        batches = Runner.build_dataloader(loader)
    for batch in batches:
        for sample in step(batch):
            own = sample.pred_instances.cpu()
            if len(own.labels) and own.labels.max() >= len(categories):
                raise ValueError(f'it finds class {int(own.labels.max())}, and the data has {len(categories)} classes, '
                                 'counted from 0')
            for (left, top, right, bottom), label, score in zip(
                    own.bboxes.tolist(), own.labels.tolist(), own.scores.tolist()):
                found.append(dict(image_id=sample.img_id, category_id=categories[label],
                                  bbox=[left, top, right - left, bottom - top], score=score))
    return found


def _write(file: Path, found: list[dict]) -> None:
    write_whole(file, gzip.compress(json.dumps(found).encode(), mtime=0))
