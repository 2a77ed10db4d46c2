# the authors' schedule, on 8 GPUs with 2 images each: the last 10,000 iterations without the encodings
_base_ = ['mmdet::retinanet/retinanet_r50_fpn_1x_coco.py']

model = dict(
    _delete_=True,
    type='kddet.Distiller',
    student=_base_.model,
    methods=dict(labelenc=dict(
        type='kddet.LabelEnc',
        step1='work_dirs/labelenc-step1_retinanet_r50_fpn_120k_coco/iter_120000.pth')))
custom_hooks = [dict(type='kddet.LossWeightHook', method='labelenc', stop=80000, by_epoch=False)]

max_iters = 90000
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=max_iters, val_interval=10000)
train_dataloader = dict(sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True))
optim_wrapper = dict(paramwise_cfg=dict(bias_lr_mult=2., bias_decay_mult=0.))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', begin=0, end=max_iters, by_epoch=False, milestones=[60000, 80000], gamma=0.1)
]
default_hooks = dict(logger=dict(log_metric_by_epoch=False), checkpoint=dict(by_epoch=False, interval=10000))
log_processor = dict(by_epoch=False)
