# the tenth of digits that is labelled when the rest is not; drawn without end, for iterations in place of epochs
_base_ = ['./digits.py']

train_dataloader = dict(
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True), dataset=dict(ann_file='instances_labelled.json'))
