# 600 iterations, the first 150 without the distance: the authors' shares of 120,000
_base_ = ['../digits/faster-rcnn_r18-quarter_fpn_10e_digits.py']

model = dict(
    _delete_=True,
    type='kddet.LabelEncAutoencoder',
    student=_base_.model,
    encoder=dict(stem_channels=32, mid_channels=[16, 16, 32, 64]))
custom_hooks = [dict(type='kddet.LossWeightHook', method='distance', start=150, by_epoch=False)]

max_epochs = 12
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', T_max=max_epochs, eta_min=0, by_epoch=True, convert_to_iter_based=True)
]
