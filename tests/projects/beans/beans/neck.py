from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from mmengine.model import BaseModule, ModuleList
from torch.nn import functional as F


@MODELS.register_module()
class BeanNeck(BaseModule):
    """Each level and the one above it, added up."""

    def __init__(self, in_channels, out_channels=16, init_cfg=dict(type='Xavier', layer='Conv2d')):
        super().__init__(init_cfg)
        self.laterals = ModuleList(ConvModule(channels, out_channels, 1) for channels in in_channels)

    def forward(self, features):
        levels = [lateral(feature) for lateral, feature in zip(self.laterals, features)]
        for index in (1, 0):
            levels[index] = levels[index] + F.interpolate(levels[index + 1], size=levels[index].shape[2:])
        return levels
