from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from mmengine.model import BaseModule, Sequential


@MODELS.register_module()
class BeanNet(BaseModule):
    """A stem and three stages, of stride 8, 16 and 32."""

    def __init__(self, width=8, depth=1, init_cfg=None):
        super().__init__(init_cfg)
        norm = dict(norm_cfg=dict(type='BN'))
        self.stem = Sequential(ConvModule(3, width, 3, stride=2, padding=1, **norm),
                               ConvModule(width, width, 3, stride=2, padding=1, **norm))
        self.stages = []
        for index in range(3):
            channels = width * 2**index
            stage = [ConvModule(channels, 2 * channels, 3, stride=2, padding=1, **norm)]
            stage += [ConvModule(2 * channels, 2 * channels, 3, padding=1, **norm) for _ in range(depth)]
            self.stages.append(f'stage{index + 1}')
            self.add_module(self.stages[-1], Sequential(*stage))

    def forward(self, x):
        x, features = self.stem(x), []
        for name in self.stages:
            x = getattr(self, name)(x)
            features.append(x)
        return tuple(features)
