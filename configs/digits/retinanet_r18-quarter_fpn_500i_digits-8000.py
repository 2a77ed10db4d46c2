# the student of the digits pair, trained on ten times as many pictures with labels: the ceiling of digits-semi
_base_ = ['../_base_/retinanet_r18-quarter_fpn_digits.py', '../_base_/digits_semi.py',
          '../_base_/schedule_digits_500i.py']

truth = dict(_base_.labelled, ann_file='instances_unlabelled-truth.json', data_prefix=dict(img='unlabelled/'))
train_dataloader = dict(
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    dataset=dict(datasets=[_base_.labelled, truth]))
