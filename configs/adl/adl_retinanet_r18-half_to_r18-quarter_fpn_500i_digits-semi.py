_base_ = ['../digits/retinanet_r18-quarter_fpn_500i_digits-semi.py']

model = dict(
    _delete_=True,
    type='kddet.Distiller',
    student=_base_.model,
    teacher=dict(
        config='{{ fileDirname }}/../digits/retinanet_r18-half_fpn_16e_digits.py',
        checkpoint='work_dirs/retinanet_r18-half_fpn_16e_digits/epoch_16.pth'),
    methods=dict(adl=dict(type='kddet.AdaptiveDistillation')))
