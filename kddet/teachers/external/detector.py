"""A model from outside with submodules that can be tapped, one an output."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.data_preprocessors import DetDataPreprocessor
from torch import Tensor, nn
from torch.nn import functional as F

from kddet.checkpoint import first_line
from kddet.recording.recorder import Pyramid
from kddet.recording.taps import parse_tap

from ..padding import cells_of
from .outputs import by_name

PROBE = 256  # pixels of the sides of the first image


class ExternalDetector(nn.Module):
    """Runs the model whole, and passes what it gave by a submodule of the name of each output.

    So it is recorded as a detector of MMDet is: ``neck``, ``backbone``, ``bbox_head`` for ``cls`` and ``reg``.

    Args:
        model: takes images ``(N, 3, H, W)``.
        name: for messages.
        outputs: names, as for :func:`kddet.teachers.external.outputs.by_name`.
        input_size: (height, width) to which images are resized for the model; its maps are resized back, to what they
            would be of the images as they came.

    Raises:
        ValueError: the model cannot be run, or gives what has no name.
    """

    def __init__(self, model: nn.Module, name: str, outputs: Sequence[str] | None,
                 input_size: tuple[int, int] | None) -> None:
        super().__init__()
        self.model, self.name, self.outputs = model, name, outputs
        self.data_preprocessor = DetDataPreprocessor()
        self.fixed_size: tuple[int, int] | None = getattr(model, 'input_size', None)
        if input_size and self.fixed_size and input_size != self.fixed_size:
            raise ValueError(f'input_size is {input_size}, and {name} takes {self.fixed_size} alone')
        self.input_size = input_size or self.fixed_size
        model.eval()
        given = self.pyramids(torch.zeros(1, 3, *(self.input_size or (PROBE, PROBE))))
        self.given = {word: [tuple(level.shape[1:]) for level in levels] for word, levels in given.items()}
        self.heads = {parse_tap(word).module for word in given if parse_tap(word).item is not None}
        for module in sorted({parse_tap(word).module for word in given}):  # the backbone first: it sees the size
            if hasattr(self, module) or not module.isidentifier():
                raise ValueError(f'an output of {name} cannot be called {module!r}; choose another with outputs=[...] '
                                 '(--teacher-options)')
            head = module in self.heads
            self.add_module(module, ExternalHead(given, module, name, input_size is not None) if head else Output())

    @torch.no_grad()
    def forward(self, images: Tensor) -> None:
        """Everything that the model gives of ``(N, 3, H, W)``, past what is tapped."""
        given = self.pyramids(images)
        for module in dict.fromkeys(sorted(parse_tap(word).module for word in given)):
            value = self.get_submodule(module).value(given, module)  # type: ignore[operator]
            self.get_submodule(module)(images, value)

    @torch.no_grad()
    def pyramids(self, images: Tensor) -> dict[str, Pyramid]:
        """Everything by name, at the size of the images."""
        shown = tuple(images.shape[2:])
        size = self.input_size or shown
        seen = images if size == shown else F.interpolate(images, size=size, mode='bilinear', align_corners=False)
        try:
            given = self.model(seen)
        except Exception as error:  # code of the user's own, exported or not
            remedy = 'see that it runs on such images' if self.input_size else \
                'if it was exported for one size, input_size=(height, width) resizes the batch to it'
            raise ValueError(f'{self.name} fails on images {tuple(seen.shape)} ({type(error).__name__}: '
                             f'{_last_line(error)[:160]}); {remedy}') from error
        found = by_name(given, self.outputs, len(images), self.name)
        if size != shown:
            found = {word: tuple(_resized(level, size, shown) for level in levels) for word, levels in found.items()}
        return found

    def tapped(self) -> str:
        """What it gives, in words: ``neck (5 levels), cls (5 levels)``."""
        return ', '.join(f'{word} ({len(shapes)} level{"s" if len(shapes) > 1 else ""})'
                         for word, shapes in self.given.items())


class Output(nn.Module):
    """An output of the model, as the output of a submodule."""

    def forward(self, images: Tensor, value: Any) -> Any:
        return value

    def value(self, given: dict[str, Pyramid], module: str) -> Any:
        return given[module]


class ExternalHead(Output):
    """Maps of a dense head, laid out as the student's head lays out its own; of the classes there may be others."""

    def __init__(self, given: dict[str, Pyramid], module: str, owner: str, resized: bool) -> None:
        super().__init__()
        self.owner, self.resized = owner, resized
        self.words = {parse_tap(word).item: word for word in given if parse_tap(word).module == module}
        self.channels = {item: given[word][0].shape[1] for item, word in self.words.items()}

    def score_width(self, anchors: int, tap: str) -> int:
        """Channels of the class scores of an anchor.

        Raises:
            ValueError: there are no scores, or not those of so many anchors.
        """
        if 0 not in self.channels:
            raise ValueError(f'{tap}: the teacher {self.owner} gives no class scores, only '
                             f'{", ".join(self.words.values())}; name them with outputs=[...] (--teacher-options), or '
                             'compare features')
        if self.channels[0] % anchors:
            raise ValueError(f'{tap}: the class scores of the teacher {self.owner} have {self.channels[0]} channels, '
                             f"which are not those of {anchors} anchors a cell, as the student's head has: compare "
                             'features')
        return self.channels[0] // anchors

    def check_boxes(self, tap: str) -> None:
        """Refuse a teacher without boxes, or whose maps are resized: boxes would not be.

        Raises:
            ValueError: says which.
        """
        if 1 not in self.words:
            raise ValueError(f'{tap}: the teacher {self.owner} gives no boxes, only {", ".join(self.words.values())}; '
                             'name them with outputs=[...] (--teacher-options), or choose a method that reads none')
        if self.resized:
            raise ValueError(f'{tap}: boxes of the teacher {self.owner} cannot be read where the batch is resized for '
                             'it; leave input_size out and give the student its size, or a method that reads none')

    def value(self, given: dict[str, Pyramid], module: str) -> Any:
        return tuple(given.get(self.words.get(item, '')) for item in (0, 1))


def _resized(level: Tensor, size: Sequence[int], shown: Sequence[int]) -> Tensor:
    """A map of an image of ``size`` as it would be of one of ``shown``."""
    if level.dim() != 4:
        return level
    wanted = [cells_of(*own) for own in zip(level.shape[2:], size, shown)]
    return F.interpolate(level, size=wanted, mode='bilinear', align_corners=False)


def _last_line(error: Exception) -> str:
    """TorchScript's messages end with what happened, others begin with it."""
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1].strip() if isinstance(error, torch.jit.Error) and lines else first_line(error)
