# the teacher of the digits pair, trained longer on the tenth of its pictures that is labelled
_base_ = ['./retinanet_r18-quarter_fpn_500i_digits-labelled.py']

model = dict(backbone=dict(base_channels=32), neck=dict(in_channels=[32, 64, 128, 256]))

max_iters = 800
train_cfg = dict(max_iters=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', T_max=max_iters, eta_min=0, by_epoch=False)
]
