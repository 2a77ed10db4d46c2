"""What can be tapped in a detector: its submodules with the shapes and strides that they give for an image."""
from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any

from torch import Tensor, nn

from kddet.checkpoint import first_line

from .probe import ImageTooSmall, at_fitting_size, probe
from .recorder import Records, is_list, tensors_in
from .rois import ROI_HEAD, check_stages
from .strides import DENSE_HEADS, Size, strides_of
from .taps import head_words, level_names

ROOTS = ('backbone', 'neck', 'rpn_head', 'bbox_head', ROI_HEAD)
MOST = 3  # maps of a head that are listed one by one
DEEPEST = 3  # names in the dotted path of a part of a RoI head


@dataclass(frozen=True)
class Tappable:
    """A submodule that a probe came by."""
    name: str
    kind: str
    calls: int
    items: list[list[tuple[int, ...]]]  # shapes of the tensors of its first call, without the batch, an item each
    strides: list[list[float | None]]  # of these
    words: list[str]  # names such as neck.P3 that stand for it, or for a part of it

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        return list(chain(*self.items))

    def line(self) -> str:
        times = f' ({self.calls} calls)' if self.calls > 1 else ''
        return (f'{self.name:44} {self.kind:22} {self._given()}{times}'
                + (f'   = {", ".join(self.words)}' if self.words else ''))

    def _given(self) -> str:
        if self.name in DENSE_HEADS and len(self.shapes) > MOST and _alike(self.items):
            channels = ', '.join('/'.join(map(str, dict.fromkeys(widths) if len(set(widths)) == 1 else widths))
                                 for item in self.items if (widths := [shape[0] for shape in item]))
            ends = dict.fromkeys(f'{stride:.4g}' for stride in (self.strides[0][0], self.strides[0][-1]))
            return (f'{channels} channels x {len(self.items[0])} level{"s" if len(self.items[0]) > 1 else ""}, '
                    f'stride{"s" if len(ends) > 1 else ""} {" to ".join(ends)}')
        return ', '.join(map(_shape, self.shapes, chain(*self.strides)))


def tappable(detector: Any, size: Size, depth: int) -> tuple[list[Tappable], list[str]]:
    """Every submodule down to a depth that gives tensors in a forward without boxes, in the order of the modules.

    Args:
        size: (height, width) of the probe image in pixels.
        depth: how many names a dotted path has at most.

    Returns:
        What was found, and a sentence on each part with weights that was not reached.
    """
    modules = {name: module for name, module in detector.named_modules()
               if name and name.count('.') < max(depth, DEEPEST) and not is_list(module)}
    found: list[Tappable] = []
    called: set[str] = set()
    why: dict[str, str] = {}
    for root in ROOTS:
        own = {name: module for name, module in modules.items() if name.partition('.')[0] == root}
        try:
            records = probe(detector, list(own), 'detector', size)
        except Exception as error:  # a head of the user's own may need anything at all
            why[root] = _reason(error)
            continue
        called |= {name for name in own if records[name]}
        found += [_described(name, module, records) for name, module in own.items() if name.count('.') < depth
                  and records[name] and any(_items(records[name][0].output))]
    return found, _not_reached(detector, called, why)


def fitting_size(detectors: list[Any]) -> Size:
    """Sides of the probe image that are enough for all, of those that a Distiller would try."""
    def run(size: int) -> Size:
        for detector, root in ((detector, root) for detector in detectors for root in ROOTS[:-1]):
            try:
                if getattr(detector, root, None) is not None:
                    probe(detector, [root], 'detector', size)
            except ImageTooSmall:
                raise
            except Exception:  # it is said with the rest of what cannot be reached
                continue
        return size, size
    return at_fitting_size(detectors, run)


def _not_reached(detector: Any, called: set[str], why: dict[str, str]) -> list[str]:
    """A sentence on each part that has weights, and of which nothing ran."""
    parts = dict(detector.named_children())
    if ROI_HEAD in parts and ROI_HEAD not in why:
        parts |= {f'{ROI_HEAD}.{name}': part for name, part in parts.pop(ROI_HEAD).named_children()}
    missing: dict[str, list[str]] = {}
    for name, part in parts.items():
        if not any(True for _ in part.parameters()) or any(own == name or own.startswith(f'{name}.') for own in called):
            continue
        default = ('RoIs are run through extractor and box head alone' if name.startswith(f'{ROI_HEAD}.') else
                   'a forward without boxes runs backbone, neck and heads alone')
        missing.setdefault(why.get(name, default), []).append(f'{name} ({type(part).__name__})')
    lines = [f'not reached: {", ".join(names)}: {reason}' for reason, names in missing.items()]
    if any(own.startswith(f'{ROI_HEAD}.') for own in called):
        try:
            check_stages(detector, detector)
        except ValueError as error:
            lines.append(f'not to be compared: {ROI_HEAD}: {error}')
    return lines


def _reason(error: Exception) -> str:
    if isinstance(error, ImageTooSmall):
        return f'{error}; --shape HEIGHT WIDTH gives it a larger one'
    if isinstance(error, ValueError) and not isinstance(error.__cause__, NotImplementedError):
        return first_line(error)
    cause = error.__cause__ or error
    return f'it does not run on the features alone ({type(cause).__name__}: {first_line(cause)})'


def _described(name: str, module: nn.Module, records: Records) -> Tappable:
    calls, known = records[name], records.anchor_strides
    items = _items(calls[0].output)
    size = (0, 0) if name.startswith(ROI_HEAD) else records.image_size
    words = head_words(name, calls[0].output)
    if name in ('backbone', 'neck') and all(tensor.dim() == 4 for tensor in chain(*items)):
        words += [word for word in level_names(name, list(chain(*items)), size, known) if word]
    return Tappable(name, type(module).__name__, len(calls), [[tuple(tensor.shape[1:]) for tensor in item]
                                                             for item in items],
                    [strides_of(item, size, known) if size[0] else [None] * len(item) for item in items], words)


def _items(output: Any) -> list[list[Tensor]]:
    """The tensors of what a submodule gives: a pyramid each, or one pyramid whose levels come one by one."""
    if isinstance(output, (tuple, list)) and not any(isinstance(item, Tensor) for item in output):
        return [tensors for item in output if (tensors := list(tensors_in(item)))]
    return [list(tensors_in(output))]


def _alike(items: list[list[tuple[int, ...]]]) -> bool:
    """Whether they are pyramids of maps of the same sizes."""
    return len({tuple(shape[1:] for shape in item) for item in items}) == 1 and all(
        len(shape) == 3 for item in items for shape in item)


def _shape(shape: tuple[int, ...], stride: float | None) -> str:
    text = 'x'.join(map(str, shape))
    return text if stride is None else f'{text} /{stride:.4g}'
