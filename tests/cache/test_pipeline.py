import copy

import pytest
from mmdet.registry import TRANSFORMS
from mmengine.config import Config

from kddet.cache import check_pipelines

LOAD, LABELS, PACK = (dict(type=name) for name in ('LoadImageFromFile', 'LoadAnnotations', 'PackDetInputs'))
LABELS['with_bbox'] = True
RESIZE, FLIP = dict(type='Resize', scale=(64, 64), keep_ratio=True), dict(type='RandomFlip', prob=0.5)
MORE = dict(type='RandomChoiceResize', scales=[(64, 64), (96, 96), (128, 128)], keep_ratio=True)


@TRANSFORMS.register_module()
class OwnTransform:
    """Of a user's own; it is looked at by name."""


def config(*pipeline, preprocessor=None, **rest):
    return Config(dict(
        model=dict(type='kddet.Distiller', student=dict(data_preprocessor=preprocessor or dict(
            type='DetDataPreprocessor', mean=[0.], std=[1.], pad_size_divisor=32))),
        train_dataloader=dict(dataset=dict(type='CocoDataset', pipeline=list(pipeline))), **rest))


def check(*pipeline, **options):
    return check_pipelines(config(LOAD, LABELS, *pipeline, PACK), **options)


def test_the_usual_pipeline():
    replay = check(RESIZE, FLIP)
    assert (replay.flips, replay.sizes, replay.mirrored) == ((None, 'horizontal'), 1, True)


@pytest.mark.parametrize(('flip', 'expected'), [
    (dict(prob=0.0), (None,)), (dict(prob=1.0), ('horizontal',)),
    (dict(prob=0.5, direction=['horizontal', 'vertical']), (None, 'horizontal', 'vertical')),
    (dict(prob=[0.5, 0.5], direction=['horizontal', 'diagonal']), ('horizontal', 'diagonal')),
    (dict(prob=[0.0, 0.5], direction=['horizontal', 'vertical']), (None, 'vertical'))], ids=str)
def test_flips_that_can_come(flip, expected):
    assert check(RESIZE, dict(type='RandomFlip', **flip)).flips == expected


@pytest.mark.parametrize(('pipeline', 'mirrored'), [
    ([RESIZE, FLIP], True), ([RESIZE, dict(type='Pad', size_divisor=32), FLIP], True), ([RESIZE], True),
    ([RESIZE, FLIP, dict(type='FilterAnnotations')], True), ([FLIP, RESIZE], False),
    ([RESIZE, FLIP, dict(type='Pad', size_divisor=32)], False)])
def test_a_flip_follows_from_the_other_where_it_comes_last(pipeline, mirrored):
    assert check(*pipeline).mirrored == mirrored


def test_a_few_sizes_are_replayed():
    assert check(MORE, FLIP).sizes == 3


@pytest.mark.parametrize('transform', [
    dict(type='RandomCrop', crop_size=(32, 32)), dict(type='mmdet.PhotoMetricDistortion'),
    dict(type='CutOut', n_holes=1), dict(type='Albu', transforms=[]), dict(type='YOLOXHSVRandomAug'),
    dict(type='mmcv.RandomGrayscale'),
    dict(type='RandomErasing', n_patches=1, ratio=0.1), dict(type='RandomApply', transforms=[FLIP]),
    dict(type='RandomChoice', transforms=[[RESIZE], [MORE]])], ids=lambda transform: transform['type'])
def test_what_draws_unseen_is_refused_by_name(transform):
    name = transform['type'].rpartition('.')[2]
    with pytest.raises(ValueError, match=f"cannot replay {name}: what it makes of a picture is not told.*on_miss='co"):
        check(RESIZE, transform)


def test_sizes_from_a_range_are_refused():
    with pytest.raises(ValueError, match='cannot replay RandomResize: it draws the size from a range.*RandomChoiceRes'):
        check(dict(type='RandomResize', scale=[(64, 32), (64, 64)], keep_ratio=True))


def test_wrappers_that_mix_pictures_are_refused_by_name():
    cfg = config()
    cfg.train_dataloader.dataset = dict(type='MultiImageMixDataset', dataset=dict(
        type='CocoDataset', pipeline=[LOAD, LABELS]), pipeline=[dict(type='Mosaic', img_scale=(64, 64)), PACK])
    with pytest.raises(ValueError, match='cannot replay Mosaic'):
        check_pipelines(cfg)
    cfg.train_dataloader.dataset.pipeline = [RESIZE, FLIP, PACK]
    assert check_pipelines(cfg).flips == (None, 'horizontal')


def test_a_switch_of_pipelines_is_seen():
    hook = dict(type='PipelineSwitchHook', switch_epoch=3, switch_pipeline=[LOAD, dict(type='MixUp'), PACK])
    with pytest.raises(ValueError, match='cannot replay MixUp'):
        check_pipelines(config(LOAD, LABELS, RESIZE, PACK, custom_hooks=[hook]))


def test_a_transform_of_ones_own_is_refused_until_it_is_listed():
    own = dict(type='OwnTransform', sharp=2)
    with pytest.raises(ValueError, match=r"cannot replay OwnTransform: it is not one of MMDet's.*replayable=\['OwnTr"):
        check(RESIZE, own)
    replay = check(RESIZE, own, replayable=['OwnTransform'])
    assert replay.pixels != check(RESIZE, dict(own, sharp=3), replayable=['OwnTransform']).pixels
    with pytest.raises(ValueError, match='cannot replay Nowhere'):
        check(RESIZE, dict(type='Nowhere'))


def test_choices_that_hide_each_other_are_refused():
    with pytest.raises(ValueError, match='more than one RandomFlip'):
        check(FLIP, RESIZE, FLIP)
    with pytest.raises(ValueError, match='resizes a picture again after RandomChoiceResize'):
        check(MORE, RESIZE)


def test_meta_information_that_is_needed():
    pack = dict(PACK, meta_keys=('img_id', 'img_path', 'img_shape'))
    with pytest.raises(ValueError, match='PackDetInputs leaves out flip_direction, scale_factor'):
        check_pipelines(config(LOAD, RESIZE, FLIP, pack))
    assert check_pipelines(config(LOAD, pack)).flips == (None,)


def test_two_data_sources():
    cfg = config()
    pipelines = [[LOAD, LABELS, RESIZE, FLIP, PACK], [LOAD, RESIZE, PACK]]
    cfg.train_dataloader.dataset = dict(type='ConcatDataset', datasets=[
        dict(type='CocoDataset', pipeline=pipeline) for pipeline in pipelines])
    assert check_pipelines(cfg).flips == (None, 'horizontal')
    changed = copy.deepcopy(cfg)
    changed.train_dataloader.dataset.datasets[1].pipeline[1] = dict(RESIZE, interpolation='nearest')
    with pytest.raises(ValueError, match='load, resize or pad pictures in different ways.*nearest'):
        check_pipelines(changed)


def test_what_pixels_depend_on_is_in_the_key_and_what_they_do_not_is_not():
    pixels = check(RESIZE, FLIP).pixels
    assert pixels == check(dict(RESIZE, scale=(96, 96), clip_object_border=False), dict(FLIP, prob=0.2)).pixels
    assert pixels != check(dict(RESIZE, backend='pillow'), FLIP).pixels
    assert pixels != check(FLIP, RESIZE).pixels
    assert pixels != check_pipelines(config(LOAD, LABELS, RESIZE, FLIP, PACK, preprocessor=dict(
        type='DetDataPreprocessor', mean=[1.], std=[1.]))).pixels


@pytest.mark.parametrize(('changes', 'message'), [
    (dict(batch_augments=[dict(type='BatchSyncRandomResize', random_size_range=(64, 128))]),
     'cannot replay BatchSyncRandomResize of the data preprocessor'),
    (dict(batch_augments=[dict(type='BatchFixedSizePad', size=(64, 64), img_pad_value=114)]),
     'pads with 114 and the data preprocessor with 0'),
    (dict(type='OwnPreprocessor'), 'does not know what the OwnPreprocessor makes')])
def test_data_preprocessors_that_change_pictures_are_refused(changes, message):
    preprocessor = dict(dict(type='DetDataPreprocessor', mean=[0.], std=[1.]), **changes)
    with pytest.raises(ValueError, match=message):
        check_pipelines(config(LOAD, RESIZE, PACK, preprocessor=preprocessor))


def test_a_data_preprocessor_beside_the_model_is_seen():
    cfg = config(LOAD, RESIZE, PACK)
    preprocessor = cfg.model.student.pop('data_preprocessor')
    cfg.data_preprocessor = dict(preprocessor, batch_augments=[dict(type='BatchSyncRandomResize')])
    with pytest.raises(ValueError, match='cannot replay BatchSyncRandomResize'):
        check_pipelines(cfg)


def test_padding_to_one_size_is_replayed():
    check_pipelines(config(LOAD, RESIZE, PACK, preprocessor=dict(
        type='DetDataPreprocessor', batch_augments=[dict(type='BatchFixedSizePad', size=(64, 64))])))
