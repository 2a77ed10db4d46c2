# RetinaNet with a quarter-width ResNet-18 and one stacked conv on P2-P5
_base_ = ['mmdet::_base_/models/retinanet_r50_fpn.py']

model = dict(
    backbone=dict(depth=18, base_channels=16, frozen_stages=-1, norm_eval=False, init_cfg=None),
    neck=dict(in_channels=[16, 32, 64, 128], out_channels=32, start_level=0, add_extra_convs=False, num_outs=4),
    bbox_head=dict(
        num_classes=10,
        in_channels=32,
        feat_channels=32,
        stacked_convs=1,
        anchor_generator=dict(scales_per_octave=1, ratios=[1.0], strides=[4, 8, 16, 32])),
    test_cfg=dict(nms_pre=300))
