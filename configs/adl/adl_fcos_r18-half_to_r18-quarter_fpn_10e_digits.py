_base_ = ['../digits/fcos_r18-quarter_fpn_10e_digits.py']

model = dict(
    _delete_=True,
    type='kddet.Distiller',
    student=_base_.model,
    teacher=dict(
        config='{{ fileDirname }}/../digits/fcos_r18-half_fpn_16e_digits.py',
        checkpoint='work_dirs/fcos_r18-half_fpn_16e_digits/epoch_16.pth'),
    # the plain KL, not the paper's: docs/results/adl-digits.md, where it gains twice as much with one point a cell
    methods=dict(adl=dict(type='kddet.AdaptiveDistillation', gamma=0.0)))
