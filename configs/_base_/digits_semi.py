# digits with a tenth of its pictures labelled, half of every batch; the others have the teacher's boxes:
# `python tools/pseudo_label.py TEACHER_CONFIG CHECKPOINT --images data/digits/train --ann
# data/digits/instances_unlabelled.json --out data/digits/pseudo.json`
_base_ = ['./digits.py']

labelled = dict(_base_.train_dataloader.dataset, ann_file='instances_labelled.json')
unlabelled = dict(_base_.train_dataloader.dataset, type='kddet.UnlabelledDataset', ann_file='pseudo.json')
train_dataloader = dict(
    sampler=dict(_delete_=True, type='MultiSourceSampler', batch_size=16, source_ratio=[1, 1]),
    dataset=dict(_delete_=True, type='ConcatDataset', datasets=[labelled, unlabelled]))
