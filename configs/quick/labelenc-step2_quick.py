# seconds on a CPU, after labelenc-step1_quick.py: 4 iterations of a student with its label encoder.
# Expected: loss_labelenc 1.61 +- 0.1 in the first iteration (a test checks it); epoch_1.pth, which a RetinaNet loads.
_base_ = ['../labelenc/labelenc-step2_retinanet_r18-quarter_fpn_10e_digits.py']

model = dict(methods=dict(labelenc=dict(step1='work_dirs/labelenc-step1_quick/epoch_1.pth')))
custom_hooks = []
max_epochs = 1
train_cfg = dict(max_epochs=max_epochs)
train_dataloader = dict(dataset=dict(indices=64))
val_dataloader = dict(dataset=dict(indices=16))
default_hooks = dict(logger=dict(interval=1))
log_processor = dict(window_size=1)
