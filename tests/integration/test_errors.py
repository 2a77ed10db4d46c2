"""What a user gets wrong is one short message that says what came, what is allowed and what to do."""
import copy
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import textwrap

import pytest
import torch
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import MODELS

from kddet.studies.plan import move_data

pytestmark = pytest.mark.slow
LINES = 5  # of 120 columns, the one on tracebacks among them
SHORT = {  # the beginnings of commands
    'plain:': 'train.py student.py --cfg-options', 'distil:': 'train.py distil.py --cfg-options',
    'hint:': 'train.py distil.py --cfg-options model.methods.hint', 'teacher:': 'train.py distil.py --cfg-options '
    'model.teacher', 'method:': 'train.py student.py --teacher teacher.py --teacher-checkpoint teacher.pth --method',
    'data:': 'train.py student.py --cfg-options train_dataloader.dataset', 'label:': 'pseudo_label.py teacher.py',
    'own:': 'train.py own_data.py --cfg-options train_dataloader.dataset',
    'cache:': 'cache_teacher.py distil.py --cfg-options model.teacher.cache.dir=kept', 'look:': 'visualize.py'}
PARTS = '''
from mmdet.datasets import CocoDataset
from mmengine.registry import DATASETS, VISBACKENDS
from mmengine.visualization import LocalVisBackend


@DATASETS.register_module()
class OwnDataset(CocoDataset):
    def load_data_list(self):
        return super().load_data_list()


@VISBACKENDS.register_module()
class OwnBackend(LocalVisBackend):
    def _init_env(self):
        raise ImportError('Please run "pip install board"')
'''
LOADED, BOXED, PACKED = (f"dict(type='{kind}'{more})" for kind, more in (
    ('LoadImageFromFile', ''), ('LoadAnnotations', ', with_bbox=True'), ('PackDetInputs', '')))
STUDY = '{repository}/configs/studies/fgfi-digits.yaml'
CASES = [  # command, and what is in the message
    # configs
    ('train.py nothing.py', "config 'nothing.py' does not exist ... working directory ... give a path"),
    ('train.py folder', "config 'folder' is a folder"),
    ('train.py picture.jpg', "config 'picture.jpg' is not a config; it must be a .py, .json or .yaml file"),
    ('train.py mmdet::retinanet/nothing.py', "(of mmdet::retinanet/nothing.py) does not exist"),
    ('train.py nopackage::a/b.py', "package 'nopackage' ships no configs ... there is 'mmdet::...'"),
    ('train.py no_base.py', "gone.py', which ... no_base.py' has in its _base_, does not exist; correct the path"),
    ('train.py syntax.py', "config 'syntax.py' cannot be read (line 2): SyntaxError: '(' was never closed"),
    ('train.py name_error.py', "name_error.py' cannot be read (line 2): NameError: name 'RetinaNet'"),
    ('train.py no_import.py', "'no_import.py' imports 'not_there', which Python does not find ... PYTHONPATH"),
    ('train.py no_model.py', "no_model.py is not the config of a detector: its model is None; it must be model=dict"),
    ('train.py list.json', "list.json' holds a list; it must be a dict of settings"),
    ('train.py itself.py', "itself.py' builds on itself, ... itself.py -> ... itself.py; take one out of the _base_"),
    ('train.py round.py', 'around.py -> ... round.py; take one out of the _base_ of the one before'),
    ('train.py leaves.py', "leaves.py' ends Python itself (line 3), by sys.exit(3); a config only sets values"),
    ('train.py imports.py', "custom_imports of config 'imports.py' is 'lab'; it must be dict(imports=['my_packag"),
    ('train.py scope.py', "is registered in the scope mmdet, which is not looked into: write default_scope = 'mmdet'"),
    ('plain: model.type=None', 'is not the config of a detector: its model has the type None'),
    ('plain: model=[1]', 'is not the config of a detector: its model is [1]'),
    ('plain: model.type=RetinaNett', "model 'RetinaNett' is not registered (did you mean 'RetinaNet'?) ... custom_imp"),
    ('plain: model.backbone.type=MyNet', "model 'MyNet' is not registered ... custom_imports=dict(imports="),
    ('inspect_model.py student.py --cfg-options model.type=RetinaNett', "did you mean 'RetinaNet'?"),
    ('train.py no_train.py', 'no_train.py has no train_dataloader, train_cfg, which this needs'),
    ('test.py no_test.py student.pth', 'no_test.py has no test_dataloader, test_cfg, test_evaluator, which this needs'),
    ('test.py no_test.py student.pth --tta', 'no_test.py has no test_dataloader'),
    # the command line
    ('train.py', 'the following arguments are required: config; train.py --help lists what it takes'),
    ('train.py student.py --ampp', "unrecognized arguments: --ampp (did you mean '--amp'?)"),
    ('make_results.py --chek', "unrecognized arguments: --chek (did you mean '--check'?)"),
    ('train.py student.py --launcher torch', "invalid choice: 'torch' (choose from"),
    ('visualize.py mask student.py --out o', "invalid choice: 'mask' (choose from"),
    ('train.py student.py --cfg-options model', "'model' cannot be read, write key=value"),
    ('plain: "custom_hooks=[dict(type=\'a\',method=\'b\')]"', 'cannot be read, write key=value ... config file'),
    ('plain: param_scheduler.9.end=3', 'a setting cannot be overridden: Index 9 exceeds the length of list'),
    ('plain: log_level.a=3', "a setting cannot be overridden: log_level={{'a': 3}}"),
    # the teacher
    ('train.py student.py --method hint', 'method hint reads a teacher, whose config and checkpoint are not given'),
    ('train.py student.py --method hint --teacher teacher.py', 'whose checkpoint is not given'),
    ('train.py student.py --teacher teacher.py', '--teacher is given without --method, which says how to distil'),
    ('train.py no_teacher.py', "method 'hint' (HintLearning) reads the teacher, which is not given: teacher=dict(conf"),
    ('train.py no_teacher.py --cfg-options model.teacher.config=teacher.py', 'teacher needs checkpoint'),
    ('teacher:=teacher.py', "teacher is 'teacher.py', it must be teacher=dict(config='...', checkpoint='...')"),
    ('teacher:.chekpoint=a.pth', "teacher takes no 'chekpoint' (did you mean 'checkpoint'?); it takes config"),
    ('teacher:.config=no.py', "config 'no.py' does not exist"),
    ('teacher:.config=no_model.py', "no_model.py is not the config of a detector"),
    ('teacher:.input_scale=0', "the teacher's input_scale is 0, it must be greater than 0"),
    ('teacher:.input_scale=two', "input_scale of teacher is 'two', it must be a number"),
    ('method: hint --teacher-options input_scal=2', "option of the teacher 'input_scal', did you mean 'input_scale'?"),
    ('method: hint --teacher-options dtype=float8', "the teacher's dtype is 'float8', it must be None or one of bfl"),
    ('method: hint --teacher-options cache.max_g=1', "cache of the teacher takes no 'max_g' (did you mean 'max_gb'?)"),
    ('method: hint --teacher-options teacher.dtype=float16', "unknown option of the teacher 'teacher', did you mean"),
    ('method: hint --cfg-options model.teacher.input_scale=2', 'before that; give --teacher-options input_scale=2'),
    ('train.py student.py --teacher-options dtype=float16', '--teacher-options is given without --method, which says'),
    ('train.py distil.py --teacher-options dtype=float16', 'what distil.py has is changed with --cfg-options model.te'),
    ('teacher:.checkpoint=no.pth', "checkpoint 'no.pth' does not exist (working directory"),
    ('teacher:.checkpoint=text.pth', "'text.pth' is not a readable checkpoint: it begins with b'no checkpoin' ... .pt"),
    ('teacher:.checkpoint=picture.jpg', "'picture.jpg' is not a readable checkpoint: it begins with"),
    ('teacher:.checkpoint=empty.pth', "'empty.pth' is not a readable checkpoint: it is empty"),
    ('teacher:.checkpoint=half.pth', "'half.pth' is not a readable checkpoint: it was cut short, at ... bytes; compar"),
    ('teacher:.checkpoint=folder', "checkpoint 'folder' is a folder; give a file"),
    ('teacher:.checkpoint=evil.pth', "'evil.pth' is refused ... posix.system ... Nothing of it was run"),
    ('teacher:.checkpoint=other.pth', '124 missing, 1 unexpected (missing: backbone.conv1.weight ... Give the checkpo'),
    ('teacher:.checkpoint=student.pth', '104 of another shape (of another shape: backbone.conv1 ... --teacher-opt'),
    ('teacher:.checkpoint=two_stage.pth', 'missing: bbox_head.cls_convs.0.conv.weight ... unexpected: roi_head'),
    ('teacher:.checkpoint=list.pth', "'list.pth' holds a list, a checkpoint is a dict with a state_dict"),
    ('teacher:.checkpoint=weightless.pth', "no weights in this checkpoint, its keys are ['meta', 'epoch']"),
    # methods
    ('method: fgif', "unknown method 'fgif', did you mean 'fgfi'? there are hint"),
    ('method: fgfi --method-options fgfi.los_weight=1', "option of fgfi 'los_weight', did you mean 'loss_weight'?"),
    ('method: fgfi --method-options hint.tap=neck', "unknown method 'hint'; there are fgfi"),
    ('method: fgfi --method-options fgfi', "'fgfi' cannot be read, write key=value"),
    ('method: hint --method-options hint=3', '--method-options hint=3 does not say ... give METHOD.NAME=VALUE, such'),
    ('method: hint,hint', 'methods hint, hint: give one or more, each once'),
    ('method: ""', "unknown method ''; there are hint"),
    ('train.py distil.py --method fgfi', 'a distillation config already; methods are added to the config of a plain'),
    ('hint:=kddet.HintLearning', "method 'hint' is 'kddet.HintLearning', it must be dict(type='kddet...', ...)"),
    ('hint:.type=kddet.HintLearnin', "'kddet.HintLearnin' is not registered (did you mean 'kddet.HintLearning'?)"),
    ('hint:.type=kdet.HintLearning', "'kdet.HintLearning' is not registered (did you mean 'kddet.HintLearning'?)"),
    ('hint:.type=kddet.HintLoss', "method 'hint' is a HintLoss, it must be a kddet.DistillMethod"),
    ('train.py no_methods.py', 'the Distiller has no methods; give methods=dict(hint='),
    ('hint:.tapp=neck', "method 'hint' takes no 'tapp' (did you mean 'tap'?); it takes tap, teacher_tap"),
    ('hint:.loss_weight=-1', 'loss_weight is -1 in HintLearning, it must be 0 or more'),
    ('hint:.loss_weight=nan', 'loss_weight is nan in HintLearning, it must be 0 or more'),
    ('hint:.loss_weight=heavy', "loss_weight of method 'hint' is 'heavy', it must be a number"),
    ('hint:.loss_weight=[1,2]', "loss_weight of method 'hint' is [1, 2], it must be a number"),
    ('hint:.adapter=conv', "adapter of method 'hint' is 'conv', it must be a dict(...) or None"),
    ('hint:.adapter.kernal=3', "kddet.Adapter takes no 'kernal'; it takes in_channels"),
    ('distil: model.methods.hint.adapter=None model.methods.hint.tap=backbone', 'without an adapter they must agree'),
    ('method: fgfi --method-options fgfi.threshold_factor=half', "is 'half', it must be a number"),
    ('method: fgfi --method-options fgfi.scope=all', "scope is 'all', allowed are ['global', 'level']"),
    # taps and levels
    ('hint:.tap=3', "tap of method 'hint' is 3, it must be a text"),
    ('hint:.tap=neck.fpn_conv', "tap 'neck.fpn_conv' is not in the student ... near matches: neck.fpn_convs"),
    ('hint:.teacher_tap=nek', "tap 'nek' is not in the teacher (RetinaNet) ... it has data_preprocessor, backbone, ne"),
    ('hint:.tap=neck.P9', "tap 'neck.P9' is not in the student (RetinaNet)"),
    ('hint:.tap=neck.P7', 'neck has no level of stride 128: for an image of (256, 256) it gives 64 x 64, 32 x 32'),
    ('hint:.levels=[7]', "hint on 'neck': levels [7] were asked for, the student has levels 0 to 3"),
    ('hint:.levels=[0,0]', "hint on 'neck': levels [0, 0] has a level twice; give each once"),
    ('hint:.levels=3', "levels of method 'hint' is 3, it must be a list (each item a whole number) or None"),
    ('hint:.tap=roi', "tap 'roi' is not in the student (RetinaNet); it has data_preprocessor, backbone, neck, bbox_he"),
    ('hint:.tap=roi_head.bbox_head.shared_fcs.1', 'is not in the student (RetinaNet); it has data_preprocessor'),
    ('distil: model.student.neck.in_channels=[8,16,32,65]', 'the student, a RetinaNet, cannot be run on an image of 2'),
    ('train.py no_neck.py --teacher teacher.py --teacher-checkpoint teacher.pth --method hint',
     "tap 'neck' is not in the student (RetinaNet); it has data_preprocessor, backbone, bbox_head"),
    ('train.py no_neck.py --method labelenc --method-options labelenc.step1=teacher.pth', 'RetinaNet has no neck'),
    # heads
    ('method: adl --method-options adl.heads=[roi]', "heads ['roi'] are not in the student (RetinaNet), which has ['d"),
    ('method: adl --method-options adl.heads=[box]', "heads=['box']: box chosen, there are dense, rpn, roi"),
    ('train.py student.py --method adl --teacher two_stage.py --teacher-checkpoint two_stage.pth',
     "the teacher (FasterRCNN) has ['rpn', 'roi'] ... choose among what both have"),
    *((f'train.py {name}.py --method adl --teacher teacher.py --teacher-checkpoint teacher.pth',
       f'bbox_head of the student is a {head}, whose losses are not those of ... compare features')
      for name, head in (('detr', 'DETRHead'), ('tood', 'TOODHead'), ('yolox', 'YOLOXHead'))),
    # LabelEnc
    ('train.py student.py --method labelenc', "method 'labelenc' needs step1, which the config does not give"),
    ('train.py student.py --method labelenc --method-options labelenc.step1=no.pth', 'step 1 writes it: train a confi'),
    ('train.py student.py --method labelenc --method-options labelenc.step1=text.pth', "text.pth' is not a"),
    ('train.py student.py --method labelenc --method-options labelenc.step1=student.pth', 'has no label encoder; step'),
    ('train.py step1.py --cfg-options model.encoder.foo=1', "the encoder takes no 'foo'; it takes mid_channels, num_b"),
    ('train.py step1.py --cfg-options model.encoder.num_classes=4', "the encoder takes no 'num_classes'; it takes mid"),
    ('train.py step1.py --cfg-options model.encoder.stem_channels=0', 'stem_channels 0 and out_channels ... greater t'),
    ('train.py step1.py --cfg-options model.joint=maybe', "joint of the model is 'maybe', it must be True or False"),
    ('train.py step1.py --cfg-options model.jiont=False', "the model takes no 'jiont' (did you mean 'joint'?)"),
    ('train.py step1.py --cfg-options model.student=None', 'student of the model is None, it must be a dict(...)'),
    ('visualize.py labelenc step1.py student.pth --out o --cfg-options model.student=None', 'student of the model is'),
    ('visualize.py labelenc step1.py student.pth --out o --cfg-options model.joint=maybe', "joint of the model is 'ma"),
    ('visualize.py labelenc student.py student.pth --out o', 'is a RetinaNet; give the config of step 1'),
    ('visualize.py labelenc step1.py student.pth --out o', '64 missing (missing: encoder.stem.weight ... Give the che'),
    # hooks
    ('train.py hook.py --preflight-images 0', "LossWeightHook schedules method 'fgfi', the model has ['hint']"),
    ('train.py hook_plain.py', 'this hook of kddet needs a kddet.Distiller or LabelEncAutoencoder, the model is a Ret'),
    ('plain: custom_hooks=[CountHook]', "custom_hooks[0] is 'CountHook', it must be dict(type='...', ...)"),
    ('plain: custom_hooks.type=CountHook', 'custom_hooks must be a list, [dict(type=...), ...]'),
    ('plain: default_hooks.logger=LoggerHook', "default_hooks.logger is 'LoggerHook', it must be dict(type="),
    ('plain: default_hooks.checkpoint.save_best=nothing/mAP', "is 'nothing/mAP', and ... names begin with coco/; wri"),
    ('train.py board.py', 'Backend, which vis_backends of the visualizer asks for, needs a package that is not there'),
    ('plain: default_hooks.logger.type=LogerHook', "hook 'LogerHook' is not registered (did you mean 'LoggerHook'?)"),
    # classes
    ('train.py student.py --method adl --teacher pets.py --teacher-checkpoint pets.pth',
     "student has 10 (zero, one, ... the teacher 2 (cat, dog); --class-map auto, in a config teacher=dict(class_m"),
    ('train.py student.py --method adl --teacher pets.py --teacher-checkpoint pets.pth --class-map auto',
     'student and teacher have no class in common by name ... method adl compares classes: say which is which, --'),
    ('method: adl --class-map all', "--class-map 'all' is neither auto, alone, nor a pair of names, STUDENT=TEACHER"),
    ('method: adl --class-map one=one two=zwei', 'class_map names zwei, which is not there: the student has 10 (zero'),
    ('train.py class_map.py', 'class_map names mouse, which is not there: the student has 10 (zero'),
    ('train.py class_map.py --cfg-options model.teacher.class_map=all', "class_map is 'all'; it is 'auto', "),
    ('train.py class_map.py --cfg-options "model.teacher.class_map=[(0,5)]"', 'class_map has [(0, 5)], and bbox_head'),
    ('train.py class_map.py --cfg-options "model.teacher.class_map=[0,5]"', 'class_map of teacher is [0, 5], it must'),
    # data
    ('data:.ann_file=no.json', "no.json' of train_dataloader.dataset do not exist ... correct ann_file ('no.json')"),
    ('data:.data_prefix.img=tain/', "tain/' of train_dataloader.dataset does not exist ... correct data_prefix"),
    ('data:.ann_file={world}/broken.json', "broken.json' are not json (Expecting value: line 1 column 13 (char 12))"),
    ('data:.ann_file={world}/list.json', 'are not of COCO: a dict with the lists images ... this is a list'),
    ('data:.ann_file={world}/object.json', 'are not of COCO ... this has the keys a'),
    ('data:.ann_file={world}/nothing.json', "nothing.json' list no images"),
    ('data:.ann_file={world}/boxless.json', "boxless.json' have no boxes, and filter_cfg ... no picture is left"),
    ('data:.ann_file={world}/uncategorised.json', 'annotations[0] has no category_id; every one needs image_id, cate'),
    ('data:.ann_file={world}/imageless.json', "1 of 8 pictures of train_dataloader ... the first is ... gone.jpg'"),
    ('data:.metainfo.classes="(\'cat\',\'dog\')"', 'have none of the classes cat, dog of metainfo; they have zero, on'),
    *((f'{kind}:.ann_file={{world}}/{name}.json', said) for kind in ('data', 'own') for name, said in (
        ('wordy', "wordy.json' are not of COCO: the bbox of annotations[1] is [1, 2, 'x', 4], it must be four numbers"),
        ('short', "the bbox of annotations[0] is [1, 2], it must be four numbers, [x, y, width, height] in pixels"),
        ('sizeless', 'images[0] has no width; every one needs id, file_name, width, height'),
        ('kindless', 'are not of COCO: a dict with the lists images, annotations and categories ... has the keys'),
        ('binary', "binary.json' are not json ('utf-8' codec can't decode"),
        ('foreign', 'boxes, and none of a class: their category_id is 99, and the ids of the classes are'))),
    ('data:.filter_cfg=None train_dataloader.dataset.ann_file={world}/boxless.json', 'has a box, there is nothing to'),
    ('train.py unpacked.py', "is not packed, it has the keys ... must be dict(type='PackDetInputs')"),
    ('train.py unboxed.py', "no boxes to train on; its pipeline needs dict(type='LoadAnnotations', with_bbox=True)"),
    ('data:.type=CocoDatset', "dataset 'CocoDatset' is not registered (did you mean 'CocoDataset'?)"),
    ('data:.pipeline.2.type=Resizee', "transform 'Resizee' is not registered (did you mean 'Resize'?)"),
    ('plain: val_dataloader.dataset.ann_file=no.json', "no.json' of val_dataloader.dataset do not exist"),
    ('plain: val_dataloader.dataset.ann_file={world}/nothing.json', "nothing.json' list no images"),
    ('plain: val_evaluator.ann_file=no.json', "'no.json' of val_evaluator do not exist"),
    ('plain: train_dataloader.batch_size=20 train_dataloader.drop_last=True', 'make no batch; lower batch_size (20)'),
    ('test.py student.py student.pth --cfg-options test_dataloader.dataset.ann_file=no.json', 'test_dataloader.datase'),
    # settings of the host
    ('plain: randomness.seed=abc', "randomness.seed is 'abc', it must be a whole number from 0 to"),
    ('plain: randomness=abc', "randomness is 'abc', it must be dict(seed=0)"),
    ('plain: train_cfg.max_epochs=many', "max_epochs of EpochBasedTrainLoop is 'many', it must be a whole number"),
    ('plain: optim_wrapper.optimizer.lr=high', "AdamW cannot be built from its settings, lr='high'"),
    ('plain: optim_wrapper.optimizer.lr=-1', 'AdamW cannot be built from its settings ... Invalid learning rate: -1'),
    ('plain: optim_wrapper.optimizer.momentun=0.9', "AdamW takes no 'momentun'"),
    ('plain: optim_wrapper.optimizer.type=Adamm', "optimizer 'Adamm' is not registered (did you mean 'Adam'?)"),
    ('plain: param_scheduler.0.type=LinearLRR', "'LinearLRR' is not registered (did you mean 'LinearLR'?)"),
    ('plain: train_dataloader.batch_size=0', 'batch_size should be a positive integer value, but got batch_size=0'),
    ('plain: model.backbone.deph=18', "ResNet takes no 'deph' (did you mean 'depth'?)"),
    ('plain: model.backbone.depth=19', 'ResNet cannot be built from its settings ... invalid depth 19 for resnet'),
    ('train.py student.py --auto-scale-lr --cfg-options auto_scale_lr=None', '--auto-scale-lr needs auto_scale_lr=dic'),
    # machines
    ('train.py student.py --launcher pytorch', 'RANK, WORLD_SIZE, ... not set in the environment'),
    # folders and files to write
    ('train.py student.py --work-dir text.pth', "--work-dir 'text.pth' cannot be written to (it is a file)"),
    ('train.py student.py --work-dir /proc/nowhere', "--work-dir '/proc/nowhere' cannot be written to"),
    ('train.py distil.py --dump-config folder/a.txt', "--dump-config 'folder/a.txt' must end in .py"),
    ('train.py distil.py --dump-config text.pth/a.py', "the folder of --dump-config 'text.pth' cannot be written to"),
    ('test.py student.py student.pth --out found.json', "--out 'found.json' must end in .pkl or .pickle"),
    ('export_student.py other.pth -o s.pth --config student.py', 'Give the config of this student, --config CONFIG'),
    ('export_student.py student.pth -o folder --config student.py', "--out 'folder' is a folder; give the name of a f"),
    ('export_student.py student.pth -o text.pth/a.pth --config student.py', "'text.pth' cannot be written to"),
    ('label: teacher.pth --images {digits}/val --out folder', "--out 'folder' is a folder"),
    ('visualize.py masks student.py --out text.pth', "--out 'text.pth' cannot be written to (it is a file)"),
    ('make_digits.py --out text.pth', "--out 'text.pth' cannot be written to (it is a file)"),
    ('benchmark.py distil.py --json folder', "argument --json: the file 'folder' is a folder; give the name of a file"),
    ('quickstart.py --work-dir text.pth', "--work-dir 'text.pth' cannot be written to (it is a file)"),
    (f'run_study.py {STUDY} --work-dir text.pth', "text.pth' cannot be written to (it is a file)"),
    # to resume
    ('train.py distil.py --work-dir w --resume no.pth', "checkpoint 'no.pth' does not exist"),
    ('train.py distil.py --work-dir w --resume half.pth', "'half.pth' is not a readable checkpoint: it was cut short"),
    ('train.py distil.py --work-dir w --resume folder', "checkpoint 'folder' is a folder"),
    ('train.py distil.py --work-dir w --resume evil.pth', "'evil.pth' is refused ... posix.system"),
    ('train.py distil.py --work-dir w --resume student.pth', 'it has no optimizer, message_hub, epoch, iter ... load_'),
    ('train.py distil.py --work-dir w --resume plain_run.pth', 'tensors of this model are not in it in the same shape'),
    ('train.py distil.py --work-dir broken_run --resume', "epoch_1.pth' is not a readable checkpoint: it was cut shor"),
    ('plain: load_from=text.pth', "'text.pth' is not a readable checkpoint"),
    # checkpoints of other tools
    ('test.py nothing.py student.pth', "config 'nothing.py' does not exist"),
    ('test.py student.py no.pth', "checkpoint 'no.pth' does not exist"),
    ('test.py student.py text.pth', "'text.pth' is not a readable checkpoint"),
    ('test.py student.py two_stage.pth', '8 missing, 14 unexpected, 104 of another shape ... Give the checkpoint that'),
    ('test.py student.py teacher.pth', '104 of another shape (of another shape: backbone.conv1.weight'),
    ('export_student.py no.pth -o a.pth', "checkpoint 'no.pth' does not exist"),
    ('export_student.py other.pth -o a.pth', 'other.pth does not hold its config; give it with --config'),
    ('export_student.py two_stage.pth -o a.pth --config student.py', '8 missing, 14 unexpected, 104 of another shape'),
    ('export_student.py code.pth -o a.pth', 'the config inside code.pth is more than literals; give it with --config'),
    ('inspect_model.py no.py', "config 'no.py' does not exist"),
    ('inspect_model.py student.py --teacher no.py', "config 'no.py' does not exist"),
    ('inspect_model.py student.py --shape 8 8', '--shape 8 8: both must be 32 or more'),
    ('inspect_model.py student.py --depth 0', "argument --depth: '0' is not a whole number of 1 or more"),
    ('inspect_model.py no_model.py', 'is not the config of a detector: its model is None'),
    ('inspect_model.py student.py --teacher no_model.py', 'is not the config of a detector: its model is None'),
    ('inspect_model.py student.py --shape 64', 'argument --shape: expected 2 arguments'),
    ('inspect_model.py student.py --shape 64 wide', "--shape: 'wide' is not a whole number of 1 or more"),
    ('inspect_model.py student.py --teacher teacher.py --cfg-options model.neck.in_channels=[8,16,32,65]',
     'the student, a RetinaNet, cannot be run on an image of 256 x 256 ... see that MMDet runs its config'),
    # pseudo labels
    ('label: no.pth --images {digits}/val --out p.json', "checkpoint 'no.pth' does not exist"),
    ('label: two_stage.pth --images {digits}/val --out p.json', '8 missing, 14 unexpected'),
    ('label: teacher.pth --out p.json', 'neither a folder of images nor a COCO json is given'),
    ('label: teacher.pth --images no --out p.json', "folder of images 'no' does not exist"),
    ('label: teacher.pth --images folder --out p.json', "no images in 'folder' (suffixes .jpg"),
    ('label: teacher.pth --images {digits}/val --ann broken.json --out p.json', 'broken.json is not json'),
    ('label: teacher.pth --images {digits}/val --ann object.json --out p.json', 'object.json is no COCO json'),
    ('label: teacher.pth --images {digits}/val --ann imageless.json --out p.json', "the first is 'gone.jpg'; give the"),
    ('label: teacher.pth --images texts --out q.json --workers 0', "image 'texts/000001.jpg' cannot be read"),
    ('label: teacher.pth --images {digits}/val --out p.json --score-thr 2', "--score-thr: '2' is not a number from 0"),
    ('label: teacher.pth --images {digits}/val --out p.json --workers -1', "--workers: '-1' is not a whole number of"),
    ('label: teacher.pth --images {digits}/val --out p.json --device gpu', "--device: 'gpu' cannot be used here; ther"),
    ('label: teacher.pth --images {digits}/val --out p.json --device cuda:9', "'cuda:9' cannot be used here; there is"),
    # before the first step
    ('train.py student.py --dry-run', '--dry-run reports on a distillation ... say how to distil it with --method'),
    ('train.py distil.py --dry-run --preflight-images -1', "--preflight-images: '-1' is not a whole number of 0 or m"),
    ('train.py distil.py --dry-run --preflight-images few', "'few' is not a whole number of 0 or more"),
    ('train.py distil.py --dry-run --preflight-images 2.5', "'2.5' is not a whole number of 0 or more"),
    *((f'train.py distil.py --dry-run --min-teacher-map {value}', f"--min-teacher-map: '{value}' is not a number from")
      for value in ('2', '-0.1', 'nan', 'high')),
    ('train.py distil.py --dry-run --cfg-options model.teacher.checkpoint=no.pth', "checkpoint 'no.pth' does not exis"),
    ('train.py distil.py --method-diagnostics 0', "--method-diagnostics: '0' is not a whole number of 1 or more"),
    ('train.py distil.py --method-diagnostics often', "'often' is not a whole number of 1 or more"),
    ('train.py student.py --method-diagnostics 5', 'method diagnostics look at the terms ... add --method, or leave'),
    # the teacher's cache
    ('cache_teacher.py no.py', "config 'no.py' does not exist"),
    ('cache_teacher.py student.py', 'student.py has no cache to fill: add it to the teacher, cache=dict(dir=...)'),
    ('cache_teacher.py distil.py', 'distil.py has no cache to fill'),
    ('cache_teacher.py distil.py --cfg-options model.teacher.cache=kept', "cache of the teacher is 'kept', it must be"),
    ('cache_teacher.py distil.py --cfg-options model.teacher.cache.max_gb=1', 'cache of the teacher needs dir'),
    ('cache: model.teacher.cache.on_miss=compute', "the cache has on_miss='compute', which writes nothing; leave it o"),
    ('cache: model.teacher.cache.on_miss=wait', "on_miss of the teacher cache is 'wait', allowed are write, compute"),
    ('cache: model.teacher.cache.dtype=int8', "dtype of the teacher cache is 'int8', allowed are None, float32, float"),
    ('cache: model.teacher.cache.max_gb=0', 'max_gb of the teacher cache is 0, it must be more than 0'),
    ('cache: model.teacher.cache.max_gb=much', "max_gb of cache of the teacher is 'much', it must be a number or None"),
    ('cache: model.teacher.cache.max_gb=1e-6', "cache in 'kept' will take about ... max_gb is 1e-06. Take dtype='floa"),
    ('cache: model.teacher.cache.folder=x', "cache of the teacher takes no 'folder'; it takes dir, dtype, max_gb, on_"),
    ('cache: model.teacher.cache.replayable=Own', "replayable of cache of the teacher is 'Own', it must be a list"),
    ('cache: model.teacher.cache.dir=3', 'dir of cache of the teacher is 3, it must be a text'),
    ('cache: model.teacher.cache.dir=text.pth', "dir of the teacher cache is 'text.pth', which cannot be written to ("),
    ('cache: model.teacher.cache.dir=/proc/nowhere', '0 GB are free on its disk. Take ... or choose another dir'),
    ('cache: train_dataloader.dataset.pipeline.3.type=RandomErasing', 'cannot replay RandomErasing: what it makes'),
    ('cache: train_dataloader.dataset.ann_file=no.json', "no.json' of train_dataloader.dataset do not exist"),
    ('cache_teacher.py distil.py --device gpu', "--device: 'gpu' cannot be used here; there is cpu"),
    ('teacher:.cache=kept', "cache of the teacher is 'kept', it must be a dict(...)"),
    ('teacher:.cache.dir=text.pth/a', "'text.pth/a', which cannot be written to ('text.pth' is a file); give another"),
    ('teacher:.cache.dir=kept train_dataloader.dataset.pipeline.3.type=RandomErasing', "RandomErasing ... on_miss='co"),
    # reports
    ('report.py', 'the following arguments are required: WORK_DIR; report.py --help'),
    ('report.py no', "work dir 'no' does not exist (working directory: ... give the folder that tools/train.py wrote"),
    ('report.py text.pth', "work dir 'text.pth' is a file; give the folder"),
    ('report.py folder', "'folder' is no work dir of a training: it has neither a config (*.py) nor ... give the fold"),
    ('report.py unlogged', "in 'unlogged' nothing was trained: it has neither a log ... nor a checkpoint ... give the"),
    ('report.py unreadable', "config.py' cannot be read (line 1): SyntaxError"),
    ('report.py run run', 'a work dir is given twice: run, run; give each once'),
    ('report.py run --baseline run', 'a work dir is given twice: run, run'),
    ('report.py run --baseline no', "work dir 'no' does not exist"),
    ('report.py run elsewhere', 'validated on different data, one page compares ... run on ... elsewhere on'),
    ('report.py run --out folder', "--out 'folder' is a folder; give the name of a file"),
    ('report.py run --out text.pth/a.html', "the folder of --out 'text.pth' cannot be written to (it is a file)"),
    ('report.py run --pictures -1', "--pictures: '-1' is not a whole number of 0 or more"),
    # pictures
    ('look: compare student.py no.pth --out o', "checkpoint 'no.pth' does not exist"),
    ('look: compare no.py student.pth --out o', "config 'no.py' does not exist"),
    ('look: compare student.py text.pth --out o', "'text.pth' is not a readable checkpoint"),
    ('look: compare student.py two_stage.pth --out o', '8 missing, 14 unexpected'),
    ('look: compare student.py student.pth', 'the following arguments are required: --out'),
    ('look: compare student.py student.pth --out text.pth', "--out 'text.pth' cannot be written to (it is a file)"),
    ('look: compare student.py student.pth --out o --teacher teacher.py', '--teacher is given without --teacher-check'),
    ('look: compare student.py student.pth --out o --teacher-checkpoint a.pth', 'without --teacher; they go together'),
    ('look: compare student.py student.pth --out o --teacher teacher.py --teacher-checkpoint no.pth', "'no.pth' does"),
    ('look: compare distil.py student.pth --out o --cfg-options model.teacher.checkpoint=no.pth', "'no.pth' does not"),
    ('look: compare student.py student.pth --out o --images gone.jpg', 'image gone.jpg does not exist (working direct'),
    ('look: compare student.py student.pth --out o --images text.pth', 'failed to load image: text.pth; replace the p'),
    ('look: compare student.py student.pth --out o --score-thr 2', "--score-thr: '2' is not a number from 0 to 1"),
    ('look: compare student.py student.pth --out o --number none', "--number: 'none' is not a whole number of 1 or m"),
    ('look: compare student.py student.pth --out o --cfg-options val_dataloader=None test_dataloader=None', 'dataload'),
    ('look: energy student.py student.pth --out o', 'is a RetinaNet without a teacher; give a distillation config'),
    ('look: energy distil.py no.pth --out o', "checkpoint 'no.pth' does not exist"),
    ('look: energy distil.py student.pth --out o', 'a checkpoint of the distilled run itself: an exported student has'),
    ('look: energy distil.py student.pth --out o --method fgfi', '--method fgfi: choose one of hint'),
    ('look: energy scores.py student.pth --out o', 'no method of the config compares maps of features, as hint and fg'),
    ('look: masks student.py --out o --cfg-options val_dataloader=None', 'no val_dataloader, whose pictures are drawn'),
    ('look: masks student.py --out o --cfg-options val_dataloader.dataset.data_prefix.img={world}/texts/', 'failed to'),
    ('look: labelenc step1.py no.pth --out o', "checkpoint 'no.pth' does not exist"),
    ('look: curves no --out c.png', "no' does not exist (working directory: ... give the folder that tools/train.py"),
    ('look: curves text.pth --out c.png', "text.pth' is a file; give the folder"),
    ('look: curves folder --out c.png', "no json log in ... scalars.json, which MMEngine's LocalVisBackend writes"),
    ('look: curves wordless --out c.png', 'the logs of wordless hold neither losses nor measures'),
    ('look: curves run --out c.jpg', '--out c.jpg: the file for the curves ends in .png'),
    ('look: curves run --out text.pth/c.png', "the folder of --out 'text.pth' cannot be written to"),
    # results
    ('make_results.py now', 'unrecognized arguments: now; make_results.py --help'),
    ('{world}/unmarked/tools/make_results.py', 'README.md must hold the lines'),
    ('{world}/cut/tools/make_results.py', "fgfi-digits.jsonl, line 2, is not json"),
    ('{world}/lacking/tools/make_results.py', "fgfi-digits.jsonl, line 1, has no measures"),
    ('{world}/orphan/tools/make_results.py', "orphan.yaml' does not exist"),
    ('{world}/stale/tools/make_results.py --check', 'differ from the rows in results/; run: python tools/make_results'),
    # the others
    ('visualize.py masks no.py --out o', "config 'no.py' does not exist"),
    ('visualize.py masks student.py --out o --number 0', "'0' is not a whole number of 1 or more"),
    ('visualize.py masks student.py --out o --method-options threshold=0.3', "the imitation takes no 'threshold'"),
    ('run_study.py no.yaml', "study 'no.yaml' does not exist ... configs/studies"),
    ('run_study.py broken.yaml', 'broken.yaml is not yaml'),
    ('run_study.py misspelt.yaml', "unknown key 'titel', did you mean 'title'?"),
    ('run_study.py gone.yaml', "configs/gone.py' does not exist"),
    (f'run_study.py {STUDY} --pairs yolo', 'pairs yolo are not in the study fgfi-digits, which has retinanet, fcos'),
    (f'run_study.py {STUDY} --seeds one', "argument --seeds: invalid int value: 'one'"),
    (f'run_study.py {STUDY} --seeds 99', 'seeds 99 are not in the study fgfi-digits, which has 0'),
    (f'run_study.py {STUDY} --variants all', 'variants all are not in the study fgfi-digits, which has'),
    (f'run_study.py {STUDY} --results text.pth', "--results 'text.pth' cannot be written to (it is a file)"),
    ('run_study.py folder', "study 'folder' is a folder ... give a yaml file"),
    ('run_study.py list.yaml', 'list.yaml holds a list, a study is a mapping of title, question'),
    ('run_study.py seedless.yaml', 'seedless.yaml: seeds must be given'),
    ('run_study.py seed.yaml', 'seed.yaml: seeds is 0, it must be a list'),
    ('run_study.py variant.yaml', "variant.yaml: variant 'v' is None, it must be a mapping of methods, student"),
    ('run_study.py pair.yaml', "pair.yaml: pair 'p' is 'student.py', it must be a mapping of teacher, student"),
    ('run_study.py methods.yaml', "methods.yaml: variant 'v' has no methods; it takes methods, student"),
    (f'run_study.py {STUDY} --jobs 0', "'0' is not a whole number of 1 or more"),
    (f'run_study.py {STUDY} --data-root no', "'no/instances_train.json' of train_dataloader.dataset do not exist"),
    ('make_digits.py --size 5', 'size 5: at least'),
    ('make_digits.py --train few', "argument --train: invalid int value: 'few'"),
    ('benchmark.py student.py', 'student is not a distillation config: its model is a RetinaNet'),
    ('benchmark.py no.py', "config 'no.py' does not exist"),
    ('benchmark.py distil.py --boxes -1', "--boxes: '-1' is not a whole number of 0 or more"),
    ('benchmark.py distil.py --batch 0', "--batch: '0' is not a whole number of 1 or more"),
    ('benchmark.py distil.py --shape 64', 'argument --shape: expected 2 arguments'),
    ('benchmark.py distil.py --shape 0 64', "--shape: '0' is not a whole number of 1 or more"),
    ('benchmark.py distil.py --cache int8', "argument --cache: invalid choice: 'int8' (choose from"),
    ('benchmark.py no_teacher.py --cache exact', 'has no teacher that --cache could keep the outputs of; leave --cach'),
    ('benchmark.py distil.py --device cuda:9', "'cuda:9' cannot be used here; there is cpu"),
    ('benchmark.py distil.py --json text.pth/a.jsonl', "the folder of the file 'text.pth' cannot be written to (it"),
    ('benchmark.py distil.py --iters 0', "argument --iters: '0' is not a whole number of 1 or more"),
    ('benchmark_teacher.py student.py', 'student is not a distillation config: its model ... --dump-config writes it'),
    ('benchmark_teacher.py distil.py --checkpoint no.pth --iters 1', "checkpoint 'no.pth' does not exist"),
    ('benchmark_teacher.py distil.py --json folder', "argument --json: the file 'folder' is a folder"),
    ('benchmark_scaling.py student.py', 'student is not a distillation config: its model ... --dump-config writes it'),
    ('benchmark_scaling.py distil.py --batch 0', "--batch: '0' is not a whole number of 1 or more"),
    ('benchmark_mmrazor.py --student no.py', "config 'no.py' does not exist"),
    ('benchmark_adl.py --shape 0 5', "argument --shape: '0' is not a whole number"),
    ('benchmark_masks.py --device cuda:9', "'cuda:9' cannot be used here; there is cpu"),
    ('benchmark_labelenc.py --iters 0', "argument --iters: '0' is not a whole number"),
    ('quickstart.py --epochs 0 1', "argument --epochs: '0' is not a whole number of 1 or more"),
    ('quickstart.py --pictures 0 1', "argument --pictures: '0' is not a whole number of 1 or more"),
]


class Evil:
    def __reduce__(self):
        return os.system, ('touch proof',)


@pytest.fixture(scope='module')
def world(plain_config, distilled_config, teacher_files, digits, repository, tmp_path_factory):
    """A folder with right files and wrong ones."""
    world = tmp_path_factory.mktemp('world')
    for file, target in zip(teacher_files, ('teacher.py', 'teacher.pth')):
        shutil.copy(file, world / target)
    two_stage = Config.fromfile(repository / 'configs/digits/faster-rcnn_r18-quarter_fpn_10e_digits.py')
    move_data(two_stage, digits)
    pets = copy.deepcopy(plain_config)
    pets.train_dataloader.dataset.metainfo = dict(classes=('cat', 'dog'))
    pets.model.bbox_head.num_classes = 2
    for name, cfg in dict(student=plain_config, two_stage=two_stage, pets=pets).items():
        cfg.dump(world / f'{name}.py')
        detector = MODELS.build(copy.deepcopy(cfg.model))
        torch.save(dict(state_dict=detector.state_dict(), meta={}), world / f'{name}.pth')
    distil = copy.deepcopy(distilled_config)
    distil.model.teacher = dict(config='teacher.py', checkpoint='teacher.pth')
    distil.dump(world / 'distil.py')
    _checkpoints(world)
    _configs(world)
    _data(world, digits)
    _runs(world)
    _results(world, repository)
    return world


def _checkpoints(world):
    student = torch.load(world / 'student.pth')['state_dict']
    (world / 'folder').mkdir()
    (world / 'broken_run').mkdir()
    (world / 'broken_run/last_checkpoint').write_text(str(world / 'broken_run/epoch_1.pth'))
    whole = (world / 'teacher.pth').read_bytes()
    for name, content in {'text.pth': b'no checkpoint\n' * 20, 'empty.pth': b'', 'half.pth': whole[:len(whole) // 2],
                          'broken_run/epoch_1.pth': whole[:-100]}.items():
        (world / name).write_bytes(content)
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(1))]).state_dict()
    code = 'import os\nmodel = os.system("touch proof")'
    for name, content in dict(
            other=dict(state_dict={'a.weight': torch.ones(1)}), evil=dict(state_dict=student, evil=Evil()), list=[1],
            weightless=dict(meta={}, epoch=3), code=dict(state_dict=student, meta=dict(cfg=code)),
            plain_run=dict(state_dict=student, meta=dict(epoch=1, iter=2), optimizer=optimizer,
                           message_hub={})).items():
        torch.save(content, world / f'{name}.pth')


def _configs(world):
    plain, distil = "_base_ = ['student.py']\n", "_base_ = ['distil.py']\n"
    around = "model = dict(_delete_=True, type='kddet.Distiller', student=_base_.model.student"
    hook = "custom_hooks = [dict(type='kddet.LossWeightHook', method='fgfi')]\n"

    def study(seeds='[0]', pairs='{p: {student: student.py}}', variants='{v: {methods: {}}}'):
        return f'title: a\nquestion: b\npairs: {pairs}\nvariants: {variants}\nseeds: {seeds}\n'
    for name, text in {
            'no_base.py': "_base_ = ['gone.py']\n", 'syntax.py': f'{plain}model = dict(\n', 'no_model.py': 'lr = 1\n',
            'name_error.py': f'{plain}model = dict(type=RetinaNet)\n', 'hook.py': distil + hook,
            'no_import.py': f"{plain}custom_imports = dict(imports=['not_there'])\n", 'hook_plain.py': plain + hook,
            'no_teacher.py': f'{distil}{around}, methods=_base_.model.methods)\n',
            'no_methods.py': f'{distil}{around})\n',
            'class_map.py': f"{distil}model = dict(teacher=dict(config='pets.py', checkpoint='pets.pth', class_map="
                            "dict(one='cat', two='mouse')), "
                            "methods=dict(adl=dict(type='kddet.AdaptiveDistillation')))\n",
            'no_neck.py': f'{plain}model = dict(neck=None, backbone=dict(out_indices=(3, )), bbox_head=dict('
                          'in_channels=64, anchor_generator=dict(strides=[32])))\n',
            'step1.py': f"{plain}model = dict(_delete_=True, type='kddet.LabelEncAutoencoder', student=_base_.model)\n",
            'scores.py': f"{distil}model = dict(methods=dict(_delete_=True, adl=dict("
                         "type='kddet.AdaptiveDistillation')))\n",
            'itself.py': "_base_ = 'itself.py'\n", 'round.py': "_base_ = ['around.py']\n",
            'around.py': "_base_ = ['student.py', 'round.py']\n", 'leaves.py': f'{plain}import sys\nsys.exit(3)\n',
            'imports.py': f"{plain}custom_imports = 'lab'\n", 'scope.py': f"{plain}default_scope = 'nowhere'\n",
            'board.py': f"{plain}import sys\nsys.path.insert(0, '{world}')\n"
                        "custom_imports = dict(imports=['own_parts'])\n"
                        "visualizer = dict(vis_backends=[dict(type='OwnBackend')])\n",
            'own_data.py': f"{plain}import sys\nsys.path.insert(0, '{world}')\n"
                           "custom_imports = dict(imports=['own_parts'])\n"
                           "train_dataloader = dict(dataset=dict(type='OwnDataset', filter_cfg=None))\n",
            'own_parts.py': PARTS,
            **{f'{name}.py': f'{plain}train_dataloader = dict(dataset=dict(pipeline=[{LOADED}, {last}]))\n'
               for name, last in (('unpacked', BOXED), ('unboxed', PACKED))},
            'list.yaml': '[a]\n', 'seedless.yaml': study('[]'), 'seed.yaml': study('0'),
            'variant.yaml': study(variants='{v: }'), 'pair.yaml': study(pairs='{p: student.py}'),
            'methods.yaml': study(variants='{v: {student: student.py}}'),
            'broken.yaml': 'a: [1\n', 'misspelt.yaml': 'titel: a\n',
            'gone.yaml': 'title: a\nquestion: b\npairs: {p: {student: configs/gone.py}}\n'
                         'variants: {v: {methods: {}}}\nseeds: [0]\n'}.items():
        (world / name).write_text(text)
    whole = Config.fromfile(world / 'student.py').to_dict()
    for name, absent in dict(no_train=('train_cfg', 'train_dataloader'),
                             no_test=('test_dataloader', 'test_cfg', 'test_evaluator')).items():
        Config({key: value for key, value in whole.items() if key not in absent}).dump(world / f'{name}.py')
    for name, path in dict(detr='detr/detr_r50_8xb2-150e_coco', tood='tood/tood_r50_fpn_1x_coco',
                           yolox='yolox/yolox_s_8xb8-300e_coco').items():
        Config(dict(whole, model=get_config(f'mmdet::{path}.py').model)).dump(world / f'{name}.py')


def _data(world, digits):
    shutil.copy(digits / 'train/000001.jpg', world / 'picture.jpg')
    (world / 'texts').mkdir()
    for picture in (digits / 'train').iterdir():
        (world / 'texts' / picture.name).write_text('no picture')
    (world / 'binary.json').write_bytes(b'\xff\x00\x01')
    (world / 'broken.json').write_text('{"images": [')
    whole = json.loads((digits / 'instances_train.json').read_text())
    images, boxes = whole['images'], whole['annotations']
    for name, content in dict(
            wordy=dict(whole, annotations=[boxes[0], dict(boxes[1], bbox=[1, 2, 'x', 4])]),
            short=dict(whole, annotations=[dict(boxes[0], bbox=[1, 2])]),
            sizeless=dict(whole, images=[{key: value for key, value in images[0].items() if key != 'width'}]),
            kindless={key: value for key, value in whole.items() if key != 'categories'},
            foreign=dict(whole, annotations=[dict(box, category_id=99) for box in boxes]),
            list=[1, 2], object=dict(a=1), nothing=dict(whole, images=[], annotations=[]),
            boxless=dict(whole, annotations=[]),
            imageless=dict(whole, images=[dict(images[0], file_name='gone.jpg'), *images[1:]]),
            uncategorised=dict(whole, annotations=[{key: value for key, value in box.items() if key != 'category_id'}
                                                   for box in boxes])).items():
        (world / f'{name}.json').write_text(json.dumps(content))


def _runs(world):
    """Work dirs, right and wrong."""
    plain = (world / 'student.py').read_text()
    logged = dict(iter=1, epoch=1, step=1, loss=1.0)
    for name, config, entry in (
            ('run', plain, logged),
            ('elsewhere', f"{plain}\nval_dataloader['dataset']['ann_file'] = 'b.json'\n", logged),
            ('unreadable', 'a = (', logged), ('wordless', plain, dict(iter=1, epoch=1, step=1, lr=0.1)),
            ('unlogged', plain, None)):
        (world / name / 'start/vis_data').mkdir(parents=True)
        (world / name / ('start/vis_data/config.py' if entry else 'config.py')).write_text(config)
        if entry:
            (world / name / 'start/vis_data/scalars.json').write_text(json.dumps(entry))


def _results(world, repository):
    """Repositories whose rows of results cannot become pages."""
    row = (repository / 'results/fgfi-digits.jsonl').read_text().splitlines()[0]
    marks = '<!-- results: written by tools/make_results.py -->\n<!-- end of results -->\n'
    lacking = json.dumps({key: value for key, value in json.loads(row).items() if key != 'measures'})
    for name, readme, study, rows in (
            ('unmarked', '', 'fgfi-digits', row), ('cut', marks, 'fgfi-digits', f'{row}\n{row[:50]}'),
            ('lacking', marks, 'fgfi-digits', lacking), ('orphan', marks, 'orphan', row),
            ('stale', marks, 'fgfi-digits', row)):
        for folder in ('tools', 'results', 'configs/studies'):
            (world / name / folder).mkdir(parents=True)
        shutil.copy(repository / 'tools/make_results.py', world / name / 'tools')
        shutil.copy(repository / 'configs/studies/fgfi-digits.yaml', world / name / 'configs/studies')
        (world / name / 'README.md').write_text(readme)
        (world / name / 'results' / f'{study}.jsonl').write_text(rows)


@pytest.fixture
def run(fork, world, digits, repository, tmp_path):
    """Run a command in the world; its exit code and what it printed."""
    def run(command, **job):
        beginning, _, rest = command.partition(':')
        if f'{beginning}:' in SHORT:
            command = SHORT[f'{beginning}:'] + rest
        tool, *arguments = shlex.split(command.format(world=world, digits=digits, repository=repository))
        code = fork(tool, *arguments, folder=world, output=tmp_path / 'output', **job)
        return code, (tmp_path / 'output').read_text()
    return run


def check_message(said, wanted):
    assert 'Traceback' not in said and said.count('error: ') == 1, said
    message = said[said.index('error: '):]
    assert all(part in message for part in wanted.split(' ... ')), message
    assert sum(len(textwrap.wrap(line, 120)) for line in message.splitlines()) <= LINES, message
    return message


@pytest.mark.parametrize(('command', 'wanted'), CASES, ids=[command for command, _ in CASES])
def test_wrong_input_is_one_message(run, world, record_property, command, wanted):
    code, said = run(command)
    record_property('message', said)
    check_message(said, wanted.format())
    assert code == 2 and not (world / 'proof').exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason='a GPU is there')
@pytest.mark.parametrize(('flags', 'wanted'), [
    ('--amp', '--amp needs a GPU that torch can use, there is none; leave it out to train in float32'),
    ('--launcher slurm', '--launcher slurm needs GPUs, and torch finds none')])
def test_what_needs_a_gpu_says_so(run, flags, wanted):
    code, said = run(f'train.py student.py {flags}')
    check_message(said, wanted)
    assert code == 2


def test_a_port_that_is_taken_is_named(run, repository, tmp_path):
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, said = run('train.py student.py --launcher pytorch',
                         environment=dict(RANK='0', WORLD_SIZE='1', LOCAL_RANK='0', MASTER_ADDR='127.0.0.1',
                                          MASTER_PORT=port))
        check_message(said, 'the port by which the processes find each other is taken ... PORT=29511')
        assert code == 2
        done = subprocess.run([repository / 'tools/dist_train.sh', 'student.py', '1'], capture_output=True, text=True,
                              env=dict(os.environ, PORT=port))
        check_message(done.stderr, f'port {port} is taken ... PORT=')
        assert done.returncode == 2


def test_a_picture_that_cannot_be_read_stops_the_run_by_name(run):
    code, said = run('data:.data_prefix.img={world}/texts/ --work-dir unread')
    message = check_message(said, 'the run stopped after iteration 0: failed to load image: ... --resume')
    assert code == 1 and re.search(r'texts/\d+\.jpg', message)


def test_a_metric_to_save_the_best_by_that_is_not_given_is_named(run):
    code, said = run('plain: default_hooks.checkpoint.save_best=coco/mAP --work-dir unsaved')
    check_message(said, "save_best of the checkpoint hook is 'coco/mAP', and the validation gave coco/bbox_mAP, ")
    assert code == 1


def test_an_evaluation_that_will_fail_is_said_before_the_first_step(run):
    code, said = run('train.py distil.py --dry-run --cfg-options val_evaluator.ann_file=None')
    check_message(said, 'accuracy: val_evaluator fails, as it would in the first validation: AssertionError: ground tr')
    assert code == 1


def test_a_threshold_does_not_pass_unmeasured(run):
    code, said = run('train.py distil.py --dry-run --preflight-images 0 --min-teacher-map 0.3')
    check_message(said, 'accuracy: not measured, and --min-teacher-map 0.3 is asked for; leave out --preflight')
    assert code == 1


def test_a_refused_export_leaves_nothing(run, world):
    code, _ = run('export_student.py two_stage.pth -o exported/a.pth --config student.py')
    assert code == 2 and not (world / 'exported').exists()


def test_a_cache_that_does_not_fit_is_said_before_the_first_step(run):
    code, said = run('teacher:.cache.dir=kept model.teacher.cache.max_gb=1e-6 --preflight-images 0 --dry-run')
    check_message(said, "error: cache: 'kept': about ... max_gb is 1e-06; Take dtype='float16' ... or allow more")
    assert code == 1


def test_a_cache_on_a_disk_that_is_full_is_not_complete(run):
    code, said = run('cache: model.teacher.cache.dir=begun', file_size=10_000)
    check_message(said, 'is not complete, nothing more could be written: ... File too large ... make room, and start')
    assert code == 1


def test_a_disk_that_is_full_stops_the_run_and_keeps_what_was_written(run, world):
    code, said = run('train.py student.py --work-dir full', file_size=100_000)
    check_message(said, 'the run stopped after iteration 2: File too large ... What was written is kept ... --resume')
    assert code == 1 and list((world / 'full').glob('*/*.log'))


def test_a_bug_shows_its_traceback(run, world):
    (world / 'bug.py').write_text("_base_ = ['student.py']\ncustom_imports = dict(imports=['buggy'])\n"
                                  "custom_hooks = [dict(type='Buggy')]\n")
    (world / 'buggy.py').write_text(
        'from mmengine.hooks import Hook\nfrom mmengine.registry import HOOKS\n\n\n@HOOKS.register_module()\n'
        "class Buggy(Hook):\n    def before_run(self, runner):\n        return {}['absent']\n")
    code, said = run('train.py bug.py', environment=dict(PYTHONPATH=str(world)))
    assert code == 1 and "KeyError: 'absent'" in said and 'Traceback' in said and 'error: ' not in said


def test_the_traceback_on_request(run):
    code, said = run('train.py nothing.py', environment=dict(KDDET_TRACEBACK='1'))
    assert code == 1 and said.startswith('Traceback') and "config 'nothing.py' does not exist" in said


@pytest.mark.parametrize('command', ['train.py nothing.py', 'export_student.py half.pth -o a.pth'])
def test_a_process_of_its_own_says_the_same(run, world, repository, command):
    tool, *arguments = command.split()
    done = subprocess.run([sys.executable, repository / 'tools' / tool, *arguments], cwd=world, capture_output=True,
                          text=True)
    assert (done.returncode, done.stderr) == run(command)
