# 500 iterations, the last 55 without the encodings: the authors' share of 90,000
_base_ = ['../digits/retinanet_r18-quarter_fpn_10e_digits.py']

model = dict(
    _delete_=True,
    type='kddet.Distiller',
    student=_base_.model,
    methods=dict(labelenc=dict(
        type='kddet.LabelEnc', step1='work_dirs/labelenc-step1_retinanet_r18-quarter_fpn_12e_digits/epoch_12.pth')))
custom_hooks = [dict(type='kddet.LossWeightHook', method='labelenc', stop=445, by_epoch=False)]
