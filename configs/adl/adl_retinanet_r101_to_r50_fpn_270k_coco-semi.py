# train2017 with its labels and unlabeled2017 with the teacher's, half of every batch each:
# `python tools/pseudo_label.py TEACHER_CONFIG CHECKPOINT --images data/coco/unlabeled2017 --ann
# data/coco/annotations/image_info_unlabeled2017.json --out data/coco/annotations/pseudo_unlabeled2017.json`
# Pictures in which it finds nothing are left out, as the authors do.
_base_ = ['./adl_retinanet_r101_to_r50_fpn_1x_coco.py']

labelled = _base_.train_dataloader.dataset
unlabelled = dict(
    labelled,
    type='kddet.UnlabelledDataset',
    ann_file='annotations/pseudo_unlabeled2017.json',
    data_prefix=dict(img='unlabeled2017/'))
train_dataloader = dict(
    batch_sampler=None,
    sampler=dict(_delete_=True, type='GroupMultiSourceSampler', batch_size=2, source_ratio=[1, 1]),
    dataset=dict(_delete_=True, type='ConcatDataset', datasets=[labelled, unlabelled]))

max_iters = 270000  # on 8 GPUs, 2 images each, as the authors' 3x schedule
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=max_iters, val_interval=10000)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1000),
    dict(type='MultiStepLR', begin=0, end=max_iters, by_epoch=False, milestones=[180000, 240000], gamma=0.1)
]
default_hooks = dict(logger=dict(log_metric_by_epoch=False), checkpoint=dict(by_epoch=False, interval=10000))
log_processor = dict(by_epoch=False)
