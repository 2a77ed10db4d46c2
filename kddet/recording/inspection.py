"""What can be tapped in a detector: its submodules with the shapes and strides that they give for an image."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mmengine.logging import print_log
from torch import Tensor, nn

from kddet.levels import pair_levels

from .probe import probe
from .recorder import Records, is_list
from .rois import ROI_HEAD
from .taps import HEADS, level_names

ROOTS = ('backbone', 'neck', 'rpn_head', 'bbox_head', ROI_HEAD)


@dataclass(frozen=True)
class Tappable:
    """A submodule that a probe came by."""
    name: str
    kind: str
    calls: int
    shapes: list[tuple[int, ...]]  # of the tensors of its first call, without the batch
    words: list[str]  # names such as neck.P3 that stand for it, or for a part of it

    def line(self, size: tuple[int, int]) -> str:
        given = ', '.join(_shape(shape, None if self.name.startswith(ROI_HEAD) else size) for shape in self.shapes)
        times = f' ({self.calls} calls)' if self.calls > 1 else ''
        return f'{self.name:44} {self.kind:22} {given}{times}' + (f'   = {", ".join(self.words)}' if self.words else '')


def tappable(detector: Any, size: tuple[int, int], depth: int) -> list[Tappable]:
    """Every submodule down to a depth that gives tensors in a forward without boxes, in the order of the modules.

    Args:
        size: (height, width) of the probe image in pixels.
        depth: how many names a dotted path has at most.
    """
    modules = {name: module for name, module in detector.named_modules()
               if name and name.count('.') < depth and _reachable(name) and not is_list(module)}
    found = []
    for root in ROOTS:
        own = {name: module for name, module in modules.items() if name.partition('.')[0] == root}
        try:
            records = probe(detector, list(own), 'detector', size)
        except Exception as error:  # a head of the user's own may need anything at all
            print_log(f'{root} ({type(getattr(detector, root)).__name__}) is not reached by a forward without boxes: '
                      f'{type(error).__name__}: {error}'.splitlines()[0], 'current', level=30)
            continue
        found += [_described(name, module, records, size) for name, module in own.items() if records[name]
                  and _tensors(records[name][0].output)]
    return found


def pairing(student: Any, teacher: Any, size: tuple[int, int]) -> list[str]:
    """Lines that say which level of backbone and neck of the student meets which of the teacher's."""
    lines = []
    for tap in ('backbone', 'neck'):
        if not all(getattr(detector, tap, None) is not None for detector in (student, teacher)):
            continue
        own, other = (probe(detector, [tap], owner, size).pyramid(tap)
                      for detector, owner in ((student, 'student'), (teacher, 'teacher')))
        try:
            pairs = dict(pair_levels(own, other, None, tap))
        except ValueError as error:
            lines.append(f'{tap}: {error}')
            continue
        for index, level in enumerate(own):
            stride = round(size[1] / level.shape[3])
            partner = other[pairs[index]] if index in pairs else None
            lines.append(f'{tap} level {index}, stride {stride}: student {level.shape[1]} channels, ' + (
                'no partner in the teacher' if partner is None else
                f'teacher level {pairs[index]} with {partner.shape[1]}'))
    return lines


def _described(name: str, module: nn.Module, records: Records, size: tuple[int, int]) -> Tappable:
    calls = records[name]
    tensors = _tensors(calls[0].output)
    words = [word for word, (head, _) in HEADS.items() if head == name]
    if name in ('backbone', 'neck') and all(tensor.dim() == 4 for tensor in tensors):
        words += [word for word in level_names(name, tensors, size) if word]
    return Tappable(name, type(module).__name__, len(calls), [tuple(tensor.shape[1:]) for tensor in tensors], words)


def _reachable(name: str) -> bool:
    return name.partition('.')[0] in ROOTS


def _tensors(output: Any) -> list[Tensor]:
    if isinstance(output, Tensor):
        return [output]
    if isinstance(output, (tuple, list)):
        return [tensor for item in output for tensor in _tensors(item)]
    return []


def _shape(shape: tuple[int, ...], size: tuple[int, int] | None) -> str:
    text = 'x'.join(map(str, shape))
    return f'{text} /{round(size[1] / shape[2])}' if size and len(shape) == 3 else text
