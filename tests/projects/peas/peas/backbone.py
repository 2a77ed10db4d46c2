from mmengine.model import BaseModule, Sequential
from torch import nn

from .registry import MODELS


@MODELS.register_module()
class PeaNet(BaseModule):
    """One convolution a stride: 2, 4, 8, 16 and 32, of which the last three are given."""

    def __init__(self, width=8, init_cfg=None):
        super().__init__(init_cfg)
        channels = [3, width, width, width, 2 * width, 4 * width]
        self.layers = Sequential(*(
            Sequential(nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU())
            for before, after in zip(channels, channels[1:])))

    def forward(self, x):
        features = []
        for layer in self.layers:
            x = layer(x)
            features.append(x)
        return tuple(features[2:])
