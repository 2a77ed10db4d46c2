_base_ = ['../digits/faster-rcnn_r18-quarter_fpn_10e_digits.py']

model = dict(
    _delete_=True,
    type='kddet.Distiller',
    student=_base_.model,
    teacher=dict(
        config='{{ fileDirname }}/../digits/faster-rcnn_r18-half_fpn_16e_digits.py',
        checkpoint='work_dirs/faster-rcnn_r18-half_fpn_16e_digits/epoch_16.pth'),
    # not the paper's: its weight is 0.5, with an adapter; docs/results/hint-digits.md compares them, without a gain
    methods=dict(hint=dict(type='kddet.HintLearning', adapter=None, loss_weight=5.0)))
