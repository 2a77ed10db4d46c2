"""What the report says of a teacher's cache."""
import copy
from types import SimpleNamespace

import pytest
from mmengine.registry import MODELS
from mmengine.runner import Runner

from kddet.cache import check_pipelines
from kddet.cache.fill import fill
from kddet.cache.store import folder_bytes
from kddet.cache.teacher_cache import TeacherCache
from kddet.preflight.cache import cache_lines

CROP = dict(type='RandomCrop', crop_size=(64, 64))


@pytest.fixture(scope='module')
def distiller(distilled_config):
    return MODELS.build(copy.deepcopy(distilled_config.model))


@pytest.fixture
def started(distiller, distilled_config, tmp_path):
    """A Runner's config, model and training data, whose teacher has a cache."""
    def started(*more, scale=None, **cache):
        cfg = copy.deepcopy(distilled_config)
        pipeline = cfg.train_dataloader.dataset.pipeline
        pipeline[3:3] = [dict(type='RandomFlip', prob=0.5), *more]
        if scale:
            pipeline[2].scale = scale
        (teacher,) = distiller._teachers.values()
        teacher.cache = TeacherCache(str(tmp_path / 'cache'), **cache)
        teacher.bind_cache(distiller.methods)
        loop = SimpleNamespace(dataloader=Runner.build_dataloader(cfg.train_dataloader, seed=0))
        return SimpleNamespace(cfg=cfg, model=distiller, train_loop=loop)
    yield started
    distiller._teachers[''].cache = None


def line_of(runner):
    (line,) = cache_lines(runner, runner.model)
    return line


def filled(runner):
    cache, data = runner.model.teacher_caches[''], runner.train_loop.dataloader.dataset
    cache.open(check_pipelines(runner.cfg), len(data))
    fill(cache, runner.model.data_preprocessor, runner.cfg, data)
    return cache


def test_the_estimate_is_what_it_takes_and_what_is_there_is_counted(started, tmp_path):
    runner = started(max_gb=2)
    line = line_of(runner)
    assert line.verdict == 'ok' and line.topic == 'cache' and not (tmp_path / 'cache').exists()
    assert line.text.startswith(f"'{tmp_path}/cache': about 0.00") and '(8 pictures x 2 flips and sizes x ' in line.text
    assert 'max_gb is 2, ' in line.text and line.text.endswith('0 of 8 pictures are in it')
    assert line.details == ['keeps neck of the teacher, as computed']
    cache = filled(runner)
    assert line_of(runner).text.endswith('8 of 8 pictures are in it') and line_of(runner).verdict == 'ok'
    estimated = float(line.text.partition('about ')[2].split()[0]) * 1e9
    assert folder_bytes(cache.store.folder) == pytest.approx(estimated, rel=0.05)


def test_rounding_takes_half(started):
    sizes = [float(line_of(started(dtype=dtype)).text.partition('about ')[2].split()[0])
             for dtype in (None, 'float16')]
    assert sizes[0] == pytest.approx(2 * sizes[1], rel=0.01)


def test_what_does_not_fit_stops_the_run(started, monkeypatch, tmp_path):
    line = line_of(started(max_gb=0.0001))
    assert line.verdict == 'stop' and line.text.endswith('; max_gb is 0.0001') and 'allow more' in line.remedy
    monkeypatch.setattr('shutil.disk_usage', lambda _: SimpleNamespace(free=10**5))
    line = line_of(started())
    assert line.verdict == 'stop' and '0.0001 GB are free on its disk' in line.text and 'another dir' in line.remedy
    assert not (tmp_path / 'cache').exists()


@pytest.mark.parametrize(('on_miss', 'verdict', 'begins'), [
    ('compute', 'note', 'not used, the teacher runs each time: a teacher cache cannot replay RandomCrop: '),
    ('write', 'stop', 'a teacher cache cannot replay RandomCrop: ')])
def test_a_pipeline_that_cannot_be_replayed_is_named(started, on_miss, verdict, begins):
    line = line_of(started(CROP, on_miss=on_miss))
    assert line.verdict == verdict and line.text.startswith(begins) and line.text.endswith('size and flip')
    assert line.remedy.startswith('take ')


def test_a_cache_that_gives_nothing_is_worth_a_look(started):
    line = line_of(started(on_miss='compute'))
    assert line.verdict == 'note' and 'and none is written' in line.text and 'cache_teacher.py' in line.remedy
    filled(started())
    assert line_of(started(on_miss='compute')).verdict == 'ok'
    line = line_of(started(scale=(64, 64)))
    assert line.verdict == 'note' and line.text.endswith('and none of 4 that were looked for')
    assert 'BatchFixedSizePad' in line.remedy


def test_data_of_any_kind_may_fail(started, monkeypatch):
    monkeypatch.setattr('kddet.preflight.cache._batch', lambda *_: {}['own'])
    line = line_of(started())
    assert line.verdict == 'note' and "what it will take is not known (KeyError: 'own')" in line.text


def test_without_a_cache_there_is_no_line(distiller):
    assert cache_lines(None, distiller) == []
