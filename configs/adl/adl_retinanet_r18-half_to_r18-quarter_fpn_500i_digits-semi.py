_base_ = ['../digits/retinanet_r18-quarter_fpn_500i_digits-semi.py']

model = dict(
    _delete_=True,
    type='kddet.Distiller',
    student=_base_.model,
    teacher=dict(
        config='{{ fileDirname }}/../digits/retinanet_r18-half_fpn_800i_digits-labelled.py',
        checkpoint='work_dirs/retinanet_r18-half_fpn_800i_digits-labelled/iter_800.pth'),
    methods=dict(adl=dict(type='kddet.AdaptiveDistillation')))
