# seconds on a CPU: 4 iterations of a tiny pair on 64 pictures of digits; the teacher is untrained.
# Expected: loss_adl 5.09 +- 0.1 in the first iteration (a test checks it); epoch_1.pth, which a RetinaNet loads.
_base_ = ['../digits/retinanet_r18-quarter_fpn_10e_digits.py']

model = dict(
    _delete_=True,
    type='kddet.Distiller',
    student=_base_.model,
    teacher=dict(config='{{ fileDirname }}/../digits/retinanet_r18-half_fpn_16e_digits.py', checkpoint=None),
    methods=dict(adl=dict(type='kddet.AdaptiveDistillation')))
max_epochs = 1
train_cfg = dict(max_epochs=max_epochs)
train_dataloader = dict(dataset=dict(indices=64))
val_dataloader = dict(dataset=dict(indices=16))
default_hooks = dict(logger=dict(interval=1))
log_processor = dict(window_size=1)
