# the same with half the width of ResNet-18, and trained twice as long: the teacher of the digits pair
_base_ = ['./retinanet_r18-quarter_fpn_12e_digits.py']

model = dict(
    backbone=dict(base_channels=32),
    neck=dict(in_channels=[32, 64, 128, 256], out_channels=64),
    bbox_head=dict(in_channels=64, feat_channels=64))

max_epochs = 24
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', T_max=max_epochs, eta_min=0, by_epoch=True, convert_to_iter_based=True)
]
