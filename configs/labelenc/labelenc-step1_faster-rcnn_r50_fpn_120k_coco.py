# the authors' schedule, on 8 GPUs with 2 images each: the first 30,000 iterations without the distance
_base_ = ['mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py']

model = dict(_delete_=True, type='kddet.LabelEncAutoencoder', student=_base_.model)
custom_hooks = [dict(type='kddet.LossWeightHook', method='distance', start=30000, by_epoch=False)]

max_iters = 120000
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=max_iters, val_interval=10000)
train_dataloader = dict(sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True))
optim_wrapper = dict(paramwise_cfg=dict(bias_lr_mult=2., bias_decay_mult=0.))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', begin=0, end=max_iters, by_epoch=False, milestones=[90000, 110000], gamma=0.1)
]
default_hooks = dict(logger=dict(log_metric_by_epoch=False), checkpoint=dict(by_epoch=False, interval=10000))
log_processor = dict(by_epoch=False)
