_base_ = 'bean-net_small.py'

model = dict(
    backbone=dict(width=16, depth=2), neck=dict(in_channels=[32, 64, 128], out_channels=32),
    bbox_head=dict(in_channels=32, feat_channels=32))
