# digits and nine times as many pictures without labels, half of every batch; these have the teacher's boxes:
#   python tools/make_digits.py --out data/digits --unlabelled 7200
#   python tools/pseudo_label.py TEACHER_CONFIG CHECKPOINT --images data/digits/unlabelled
#     --ann data/digits/instances_unlabelled.json --out data/digits/pseudo.json
# Pictures in which it finds nothing are left out (filter_empty_gt, as in digits); filter_cfg=None makes them
# background.
_base_ = ['./digits.py']

labelled = _base_.train_dataloader.dataset
unlabelled = dict(labelled, type='kddet.UnlabelledDataset', ann_file='pseudo.json', data_prefix=dict(img='unlabelled/'))
train_dataloader = dict(
    sampler=dict(_delete_=True, type='MultiSourceSampler', batch_size=16, source_ratio=[1, 1]),
    dataset=dict(_delete_=True, type='ConcatDataset', datasets=[labelled, unlabelled]))
