_base_ = ['../digits/fcos_r18-quarter_fpn_10e_digits.py']

model = dict(
    _delete_=True,
    type='kddet.Distiller',
    student=_base_.model,
    teacher=dict(
        config='{{ fileDirname }}/../digits/fcos_r18-half_fpn_16e_digits.py',
        checkpoint='work_dirs/fcos_r18-half_fpn_16e_digits/epoch_16.pth'),
    methods=dict(adl=dict(type='kddet.AdaptiveDistillation')))
