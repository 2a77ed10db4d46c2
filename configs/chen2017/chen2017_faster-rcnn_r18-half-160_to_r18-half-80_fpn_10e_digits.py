# the paper's second use: a student of half the resolution, taught by one that sees the picture at twice its size
_base_ = ['../digits/faster-rcnn_r18-quarter_fpn_10e_digits.py']

train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
train_pipeline[2].scale = test_pipeline[1].scale = (80, 80)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
student = _base_.model
student.backbone.base_channels = 32
student.neck.in_channels = [32, 64, 128, 256]
model = dict(
    _delete_=True,
    type='kddet.Distiller',
    student=student,
    teacher=dict(
        config='{{ fileDirname }}/../digits/faster-rcnn_r18-half_fpn_16e_digits.py',
        checkpoint='work_dirs/faster-rcnn_r18-half_fpn_16e_digits/epoch_16.pth',
        input_scale=2.0),
    methods=dict(chen=dict(type='kddet.Chen2017')))
