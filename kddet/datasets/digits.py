"""Digits: a small, real detection task. Handwritten digits on textured canvases, in COCO format.

The digits are scikit-learn's ``load_digits`` (1,797 samples of 8x8, UCI ML hand-written digits), which ships with
the package: nothing is downloaded.
"""
from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

CLASSES = ('zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine')
SMALLEST = 14  # pixels
LARGEST = 0.4  # of the canvas side
FEWEST, MOST = 2, 8  # digits a picture
MOST_COVERED = 0.3  # share of a digit's box that a later digit may hide
VALIDATION_SHARE = 0.25  # of the handwritten samples, never seen in training


def make_digits(out: str | Path, *, train: int = 800, val: int = 200, unlabelled: int = 0, size: int = 160,
                seed: int = 0) -> None:
    """Write ``{train,val}/*.jpg`` and ``instances_{train,val}.json`` below ``out``; the same bytes for the same seed.

    Args:
        out: folder of the data set, created if need be.
        train, val: number of pictures; the two draw on disjoint handwritten samples.
        unlabelled: number of pictures for semi-supervised training, of the handwritten samples of training: with
            ``instances_unlabelled.json``, which has no boxes, and ``instances_unlabelled-truth.json``, which has.
        size: side of the square pictures in pixels.
        seed: of everything random.
    """
    if train < 1 or val < 1 or unlabelled < 0 or size < 3 * SMALLEST:
        raise ValueError(f'train {train}, val {val}, unlabelled {unlabelled}, size {size}: at least 1, 1, 0 and '
                         f'{3 * SMALLEST} are needed')
    from sklearn.datasets import load_digits
    samples = load_digits()
    order = np.random.default_rng(seed).permutation(len(samples.target))
    cut = int(len(order) * VALIDATION_SHARE)
    splits = ('train', train, order[cut:]), ('val', val, order[:cut]), ('unlabelled', unlabelled, order[cut:])
    for offset, (split, count, own) in enumerate(splits):
        random = np.random.default_rng([seed, offset])
        if count:
            _write_split(Path(out), split, count, size, samples.images[own], samples.target[own], random)


def _write_split(out: Path, split: str, count: int, size: int, glyphs: np.ndarray, labels: np.ndarray,
                 random: np.random.Generator) -> None:
    (out / split).mkdir(parents=True, exist_ok=True)
    images: list[dict] = []
    annotations: list[dict] = []
    for image_id in range(1, count + 1):
        picture, boxes = _picture(size, glyphs, labels, random)
        name = f'{image_id:06d}.jpg'
        cv2.imwrite(str(out / split / name), picture, [cv2.IMWRITE_JPEG_QUALITY, 92])
        images.append(dict(id=image_id, file_name=name, width=size, height=size))
        annotations += [dict(id=len(annotations) + 1 + i, image_id=image_id, category_id=label + 1, bbox=box,
                             area=box[2] * box[3], iscrowd=0) for i, (label, box) in enumerate(boxes)]
    categories = [dict(id=i + 1, name=name) for i, name in enumerate(CLASSES)]
    content = dict(info=dict(description=f'kddet digits, {split}'), images=images, annotations=annotations,
                   categories=categories)
    if split == 'unlabelled':
        (out / 'instances_unlabelled-truth.json').write_text(json.dumps(content))
        content['annotations'] = []
    (out / f'instances_{split}.json').write_text(json.dumps(content))


def _picture(size: int, glyphs: np.ndarray, labels: np.ndarray, random: np.random.Generator):
    """A canvas ``(size, size, 3)`` and its ``[(label, [x, y, w, h]), ...]``."""
    canvas = _texture(size, random)
    placed: list[tuple[int, list[int]]] = []
    wanted = random.integers(FEWEST, MOST + 1)
    tried = 0
    while len(placed) < FEWEST or tried < wanted:
        tried += 1
        index = random.integers(len(labels))
        ink = _ink(glyphs[index], _side(size, random), random)
        height, width = ink.shape
        for _ in range(20):  # tries to find a place that hides little of what is there
            x, y = int(random.integers(0, size - width + 1)), int(random.integers(0, size - height + 1))
            if all(_covered(box, x, y, width, height) <= MOST_COVERED for _, box in placed):
                _paste(canvas, ink, x, y, random)
                placed.append((int(labels[index]), [x, y, width, height]))
                break
    return canvas.clip(0, 255).astype(np.uint8), placed


def _side(size: int, random: np.random.Generator) -> int:
    """Log-uniform, so that small digits are as frequent as large ones."""
    return round(float(np.exp(random.uniform(np.log(SMALLEST), np.log(LARGEST * size)))))


def _texture(size: int, random: np.random.Generator) -> np.ndarray:
    """Coloured noise of three grain sizes over a base colour: no two canvases are alike."""
    canvas = np.full((size, size, 3), random.uniform(40, 215, 3))
    for cells in (4, 12, 40):
        grain = random.normal(0, 14, (cells, cells, 3))
        canvas += cv2.resize(grain, (size, size), interpolation=cv2.INTER_CUBIC)
    return canvas + random.normal(0, 6, canvas.shape)


def _ink(glyph: np.ndarray, side: int, random: np.random.Generator) -> np.ndarray:
    """Opacity of the handwritten strokes, ``(h, w)`` in 0..1, cropped to them; the longer side is ``side``."""
    rows, columns = np.flatnonzero(glyph.max(1) > 3), np.flatnonzero(glyph.max(0) > 3)
    glyph = glyph[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1] / 16
    scale = side / max(glyph.shape)
    width = max(4, round(glyph.shape[1] * scale * random.uniform(0.85, 1.15)))
    height = max(4, round(glyph.shape[0] * scale))
    return cv2.resize(glyph, (min(width, side), height), interpolation=cv2.INTER_CUBIC).clip(0, 1)


def _paste(canvas: np.ndarray, ink: np.ndarray, x: int, y: int, random: np.random.Generator) -> None:
    patch = canvas[y:y + ink.shape[0], x:x + ink.shape[1]]
    colour = random.uniform(0, 255, 3)
    while abs(colour.mean() - patch.mean()) < 50:  # legible
        colour = random.uniform(0, 255, 3)
    patch[:] = patch * (1 - ink[..., None]) + colour * ink[..., None]


def _covered(box: list[int], x: int, y: int, width: int, height: int) -> float:
    """Share of the smaller of two boxes that lies in their intersection."""
    bx, by, bw, bh = box
    overlap = max(0, min(bx + bw, x + width) - max(bx, x)) * max(0, min(by + bh, y + height) - max(by, y))
    return overlap / min(bw * bh, width * height)
