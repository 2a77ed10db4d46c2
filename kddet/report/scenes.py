"""A picture with what each detector makes of it, to be drawn by the page."""
from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import mmcv

from kddet.pictures.canvas import text_size
from kddet.pictures.kinds import KINDS
from kddet.pictures.layout import apart, place_labels
from kddet.pictures.matching import Match

from .detectors import Detector

SIDE = 480  # pixels of the longer side of what goes into the page, at most
QUALITY = 82  # of its JPEG
LETTERS = 17  # as high as one, a picture is as wide as so many
LINE, BASE = 1.15, 0.88  # letters: height of a line, and of what is above its foot
STEP = 0.25  # letters between lines of boxes at one place
MEASURED = 12, 12 / 0.72  # points and pixels of letters that are measured

@dataclass(frozen=True)
class Drawn:
    """A box; ``kind`` is one of ``kddet.pictures.kinds.KINDS``, ``text`` what a pointer over it is told, ``place`` the
    left end of the label's foot."""
    x: float
    y: float
    width: float
    height: float
    kind: str
    label: str
    text: str
    place: tuple[float, float] = (0, 0)


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
                 [_legible(panel, letter, (width, height)) for panel in panels])


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
              for match in sorted(shown, key=lambda match: match.found)]
    others = f'; {everything - count} of classes that it does not have' if count < everything else ''
    return Panel(title, score, boxes, f'{right} right, {len(shown) - right} wrong, {len(missed)} missed{others}')


def _drawn(match: Match, kind: str, label: str, scale: float) -> Drawn:
    left, top, right, bottom = (round(scale * value, 1) for value in match.box)
    text = f'{match.name}, {kind}' + ('' if match.score is None else f', score {match.score:.2f}')
    sign = KINDS[kind].sign if label else ''
    return Drawn(left, top, round(right - left, 1), round(bottom - top, 1), kind, sign + label, text)


def _legible(panel: Panel, letter: float, area: tuple[float, float]) -> Panel:
    """Boxes at one place inside each other, labels beside each other; what finds no place is counted."""
    boxes = panel.boxes[::-1]  # what is right first, the highest score first
    corners = apart([(box.x, box.y, box.x + box.width, box.y + box.height) for box in boxes], STEP * letter)
    drawn = [(box, place) for box, place in zip(boxes, corners) if place]
    sizes = [(_width(box.label, letter), LINE * letter) for box, _ in drawn]
    labels = place_labels([place for _, place in drawn], sizes, area)
    moved = [_moved(box, place, label, letter) for (box, place), label in zip(drawn, labels)]
    hidden = len(boxes) - len(drawn)
    silent = sum(bool(box.label) and label is None for (box, _), label in zip(drawn, labels))
    said = [panel.summary, *([f'{hidden} more at the same place'] if hidden else []),
            *([f'{silent} without a label'] if silent else [])]
    return replace(panel, boxes=moved[::-1], summary='; '.join(said))


def _moved(box: Drawn, corners: tuple[float, float, float, float], label: tuple[float, float] | None,
           letter: float) -> Drawn:
    left, top, right, bottom = corners
    return replace(box, x=round(left, 1), y=round(top, 1), width=round(right - left, 1), height=round(bottom - top, 1),
                   label=box.label if label else '',
                   place=(round(label[0], 1), round(label[1] + BASE * letter, 1)) if label else (0, 0))


def _width(label: str, letter: float) -> float:
    """Of bold letters; those of other fonts are narrower."""
    points, pixels = MEASURED
    return text_size(label, points, bold=True)[0] * letter / pixels if label else 0
