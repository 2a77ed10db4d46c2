"""One picture through a detector, to see what its submodules give."""
from __future__ import annotations

from itertools import chain

import torch
from torch import nn

from kddet.checkpoint import first_line
from kddet.levels import PROBE_SIZE

from .forward import forward_to
from .recorder import Recorder, Records
from .rois import forward_rois, roi_taps, whole_images


@torch.no_grad()
def probe(detector: nn.Module, taps: list[str], owner: str, size: int | tuple[int, int] = PROBE_SIZE) -> Records:
    """Records of one image of the mean colour in eval mode; the detector is left as it was.

    Args:
        size: of its sides in pixels, or (height, width).
    """
    device = next((tensor.device for tensor in chain(detector.parameters(), detector.buffers())), 'cpu')
    modes = {module: module.training for module in detector.modules()}
    detector.eval()
    try:
        with Recorder(detector, taps, owner) as records:
            height, width = (size, size) if isinstance(size, int) else size
            mean = getattr(detector.data_preprocessor, 'mean', None)
            image = torch.zeros(1, 3 if mean is None else mean.numel(), height, width, device=device)
            features = forward_to(detector, image, records)
            if features is not None and roi_taps(records):
                forward_rois(detector, features, whole_images(detector, image))
    except (AssertionError, RuntimeError) as error:
        raise ValueError(f'the {owner}, a {type(detector).__name__}, cannot be run on an image of {height} x {width} '
                         f'({type(error).__name__}: {first_line(error)}); its widths may not meet: see that MMDet runs '
                         'its config') from error
    finally:
        for module, mode in modes.items():
            module.training = mode
    return records
