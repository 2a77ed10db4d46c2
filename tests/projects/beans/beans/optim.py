from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS

LAYERS = 'backbone.stem', 'backbone.stage1', 'backbone.stage2', 'backbone.stage3'


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class BeanLayerDecay(DefaultOptimWrapperConstructor):
    """The earlier a layer, the lower its learning rate: ``layer_decay`` for each layer that follows it."""

    def __init__(self, optim_wrapper_cfg, paramwise_cfg=None):
        super().__init__(optim_wrapper_cfg, paramwise_cfg)
        self.layer_decay = paramwise_cfg['layer_decay']

    def add_params(self, params, module, **kwargs):
        for name, parameter in module.named_parameters():
            layer = next((index for index, layer in enumerate(LAYERS) if name.startswith(layer)), len(LAYERS))
            params.append(dict(params=[parameter], lr=self.base_lr * self.layer_decay**(len(LAYERS) - layer),
                               weight_decay=0.0 if parameter.dim() == 1 else self.base_wd))
