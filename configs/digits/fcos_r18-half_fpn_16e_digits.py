# the same with half the width of ResNet-18, and trained longer: the teacher of the anchor-free digits pair
_base_ = ['./fcos_r18-quarter_fpn_10e_digits.py']

model = dict(backbone=dict(base_channels=32), neck=dict(in_channels=[32, 64, 128, 256]))

max_epochs = 16
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', T_max=max_epochs, eta_min=0, by_epoch=True, convert_to_iter_based=True)
]
