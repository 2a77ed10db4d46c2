"""A picture with what each detector makes of it, to be drawn by the page."""
from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import mmcv

from .accuracy import Match
from .detectors import Detector

SIDE = 480  # pixels of the longer side of what goes into the page, at most
QUALITY = 82  # of its JPEG
LETTERS = 17  # as high as one, a picture is as wide as so many
KINDS = dict(object='object to find', right='right: its class, at an IoU of 0.5 or more', wrong='wrong',
             missed='object that was missed')


@dataclass(frozen=True)
class Drawn:
    """A box; ``kind`` is one of :data:`KINDS`, ``text`` what a pointer over it is told."""
    x: float
    y: float
    width: float
    height: float
    kind: str
    label: str
    text: str


@dataclass(frozen=True)
class Panel:
    title: str
    score: float | None
    boxes: Sequence[Drawn]
    summary: str


@dataclass(frozen=True)
class Scene:
    """Sizes and boxes in pixels of the picture inside the page; ``key`` is its id there, ``data`` its address."""
    key: str
    name: str
    change: float
    width: int
    height: int
    data: str
    letter: float  # height
    panels: Sequence[Panel]


def scene(key: str, file: str, picture: int, change: float, detectors: Sequence[Detector]) -> Scene:
    """The objects, and of each detector that was measured its best detections, as many as there are objects.

    Raises:
        FileNotFoundError: of the picture.
    """
    image = mmcv.imread(file)
    scale = min(1.0, SIDE / max(image.shape[:2]))
    image = mmcv.imrescale(image, scale)
    height, width = image.shape[:2]
    _, coded = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    letter = round(width / LETTERS, 1)
    measured = [(detector, detector.accuracy) for detector in detectors if detector.accuracy]
    most = max((accuracy for _, accuracy in measured), key=lambda accuracy: len(accuracy.classes))
    objects = _objects(most.matches.get(picture, []))
    panels = [Panel('objects', None, [_drawn(match, 'object', match.name, scale) for match in objects],
                    f'{len(objects)} to find')]
    panels += [_panel(detector.name, accuracy.pictures.get(picture), accuracy.matches.get(picture, []), len(objects),
                      scale) for detector, accuracy in measured]
    return Scene(key, Path(file).name, change, width, height,
                 f'data:image/jpeg;base64,{base64.b64encode(coded.tobytes()).decode()}', letter,
                 [replace(panel, boxes=_legible(panel.boxes, letter)) for panel in panels])


def _objects(matches: Sequence[Match]) -> list[Match]:
    return [match for match in matches if match.score is None]


def _panel(title: str, score: float | None, matches: Sequence[Match], everything: int, scale: float) -> Panel:
    """``everything`` counts the objects of all classes; those of ``matches`` are of the detector's own."""
    found = sorted((match for match in matches if match.score is not None), key=lambda match: match.score or 0)
    count = len(_objects(matches))
    shown = found[max(0, len(found) - count):]  # the best on top
    lowest = (shown[0].score or 0) if shown else 2
    missed = [match for match in _objects(matches) if match.partner < lowest]
    right = sum(match.found for match in shown)
    boxes = [_drawn(match, 'missed', '', scale) for match in missed]
    boxes += [_drawn(match, 'right' if match.found else 'wrong', f'{match.name} {match.score:.2f}', scale)
              for match in shown]
    others = f'; {everything - count} of classes that it does not have' if count < everything else ''
    return Panel(title, score, boxes, f'{right} right, {len(shown) - right} wrong, {len(missed)} missed{others}')


def _drawn(match: Match, kind: str, label: str, scale: float) -> Drawn:
    left, top, right, bottom = (round(scale * value, 1) for value in match.box)
    text = f'{match.name}, {kind}' + ('' if match.score is None else f', score {match.score:.2f}')
    return Drawn(left, top, round(right - left, 1), round(bottom - top, 1), kind, label, text)


def _legible(boxes: Sequence[Drawn], letter: float) -> list[Drawn]:
    """Of labels that would lie on each other, the last one, which is of the highest score."""
    kept: list[Drawn] = []
    for box in reversed(boxes):
        width = 0.6 * letter * len(box.label)
        hidden = any(other.label and abs(other.y - box.y) < letter and abs(other.x - box.x) < width for other in kept)
        kept.append(replace(box, label='') if hidden else box)
    return kept[::-1]
