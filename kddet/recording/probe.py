"""One picture through a detector, to see what its submodules give."""
from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from itertools import chain
from typing import Any, TypeVar

import torch
from torch import nn

from kddet.checkpoint import first_line

from .forward import forward_to
from .recorder import PROBE_SIZE, Recorder, Records
from .rois import forward_rois, roi_taps, whole_images
from .strides import DENSE_HEADS, Size, anchor_strides

LARGER = 512, 1024  # where PROBE_SIZE is too small
TOO_SMALL = re.compile(r"too small|can't be greater|less than the corresponding input")
Found = TypeVar('Found')


class ImageTooSmall(ValueError):
    """The detector runs, but not on an image of this size."""


def probe(detector: nn.Module, taps: list[str], owner: str, size: int | Size | None = None) -> Records:
    """Records of one image of the mean colour in eval mode; the detector is left as it was.

    Args:
        size: of its sides in pixels, or (height, width); None takes the first of :func:`probe_sizes` that is enough.

    Raises:
        ImageTooSmall: for the detector.
        ValueError: it cannot be run.
    """
    if size is None:
        return at_fitting_size([detector], lambda fitting: probe(detector, taps, owner, fitting))
    height, width = (size, size) if isinstance(size, int) else size
    records = _probe(detector, taps, owner, (height, width))
    records.image_size, records.anchor_strides = (height, width), anchor_strides(detector)
    return records


def at_fitting_size(detectors: list[Any], run: Callable[[int], Found]) -> Found:
    """``run(size)`` at the first size of the probe image at which no detector finds it too small.

    Raises:
        ImageTooSmall: none is enough.
    """
    *sizes, largest = probe_sizes(detectors)
    for size in sizes:
        with contextlib.suppress(ImageTooSmall):
            return run(size)
    return run(largest)


def probe_sizes(detectors: list[Any]) -> list[int]:
    """Sides in pixels, in the order in which they are tried: 256, what heads say that they are for, and larger ones.

    SSD300 is for 300 pixels: its last levels have no stride that would be the same at another size.
    """
    generators = [getattr(getattr(detector, head, None), 'prior_generator', None)
                  for detector in detectors for head in DENSE_HEADS]
    own = sorted(size for generator in generators if isinstance(size := getattr(generator, 'input_size', None), int))
    return list(dict.fromkeys([PROBE_SIZE, *own, *LARGER]))


@torch.no_grad()
def _probe(detector: nn.Module, taps: list[str], owner: str, size: Size) -> Records:
    device = next((tensor.device for tensor in chain(detector.parameters(), detector.buffers())), 'cpu')
    modes = {module: module.training for module in detector.modules()}
    detector.eval()
    try:
        with Recorder(detector, taps, owner) as records:
            mean = getattr(detector.data_preprocessor, 'mean', None)
            image = torch.zeros(1, 3 if mean is None else mean.numel(), *size, device=device)
            features = forward_to(detector, image, records)
            if features is not None and roi_taps(records):
                forward_rois(detector, features, whole_images(detector, image))
    except (AssertionError, RuntimeError) as error:
        kind = ImageTooSmall if TOO_SMALL.search(str(error)) else ValueError
        remedy = 'its widths may not meet: see that MMDet runs its config'
        if kind is ImageTooSmall:
            remedy = 'the image may be too small for its layers: see at which size MMDet runs its config'
        raise kind(f'the {owner}, a {type(detector).__name__}, cannot be run on an image of {size[0]} x {size[1]} '
                   f'({type(error).__name__}: {first_line(error)}); {remedy}') from error
    finally:
        for module, mode in modes.items():
            module.training = mode
    return records
