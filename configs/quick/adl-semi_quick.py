# seconds on a CPU: 4 iterations of a tiny pair, half of every batch without labels; the teacher is untrained.
# Expected: loss_adl 5.09 +- 0.1 in the first iteration (a test checks it); iter_4.pth, which a RetinaNet loads.
_base_ = ['../adl/adl_retinanet_r18-half_to_r18-quarter_fpn_500i_digits-semi.py']

model = dict(teacher=dict(checkpoint=None))
max_iters = 4
train_cfg = dict(max_iters=max_iters, val_interval=4)
unlabelled = dict(  # the pictures of digits once more, whose boxes are not read
    _base_.unlabelled, ann_file='instances_train.json', data_prefix=dict(img='train/'), use_hard_loss=False)
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, unlabelled]))
val_dataloader = dict(dataset=dict(indices=16))
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=4))
log_processor = dict(window_size=1)
