import json
import os.path as osp
from collections import Counter

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper


@HOOKS.register_module()
class DiaryHook(Hook):
    """Writes down what it saw of the training: ``diary.json`` in the work dir."""

    priority = 'LOW'

    def before_train(self, runner):
        self.calls, self.losses = Counter(), []
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self.backbone = type(model.backbone).__name__
        self.rates = sorted({round(group['lr'], 12) for group in runner.optim_wrapper.param_groups})

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.calls['after_train_iter'] += 1
        self.losses.append({key: float(value.detach()).hex() for key, value in outputs.items()})

    def after_val_epoch(self, runner, metrics=None):
        self.calls['after_val_epoch'] += 1

    def after_train(self, runner):
        with open(osp.join(runner.work_dir, 'diary.json'), 'w') as file:  # noqa: PTH123
            json.dump(dict(calls=self.calls, losses=self.losses, backbone=self.backbone, rates=self.rates), file)
