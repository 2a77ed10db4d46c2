# seconds on a CPU: 4 iterations of the label encoder and its detector on 64 pictures of digits.
# Expected: loss_distance 1.68 +- 0.1 in the first iteration (a test checks it); epoch_1.pth, which a RetinaNet loads.
_base_ = ['../labelenc/labelenc-step1_retinanet_r18-quarter_fpn_12e_digits.py']

custom_hooks = []
max_epochs = 1
train_cfg = dict(max_epochs=max_epochs)
train_dataloader = dict(dataset=dict(indices=64))
val_dataloader = dict(dataset=dict(indices=16))
default_hooks = dict(logger=dict(interval=1))
log_processor = dict(window_size=1)
