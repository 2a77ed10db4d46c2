import copy
import functools

import pytest
import torch

from kddet import Distiller
from kddet.cache import Replay
from kddet.cache.teacher_cache import TeacherCache
from kddet.distiller import check_methods
from kddet.testing import tiny_detector, toy_samples, training_step

AS_IT_IS = Replay()
FAMILIES = {
    'retinanet': dict(hint=dict(type='kddet.HintLearning', tap='neck.P4'), adl=dict(type='kddet.AdaptiveDistillation')),
    'faster-rcnn': dict(chen=dict(type='kddet.Chen2017')),
    'fcos': dict(fgfi=dict(type='kddet.FineGrainedImitation', warmup=0),
                 conv=dict(type='kddet.HintLearning', tap='bbox_head.cls_convs.0.conv:input')),
    'cascade-rcnn': dict(soft=dict(type='kddet.WeightedClassification', heads=['roi']))}


@functools.cache
def built(family):
    torch.manual_seed(0)
    model = Distiller(tiny_detector(family), dict(config=dict(model=tiny_detector(family, 16)), checkpoint=None),
                      FAMILIES[family])
    model.init_weights()
    return model


@pytest.fixture
def cached(tmp_path):
    """A model whose teacher has a cache in ``tmp_path``; no weight of it ever changes."""
    def cached(family='retinanet', replay=AS_IT_IS, pictures=2, **cache):
        model = built(family)
        for method in model.methods.values():
            method.schedule = 1.0
        (teacher,) = model._teachers.values()
        teacher.cache = TeacherCache(str(tmp_path), **cache)
        teacher.bind_cache(model.methods)
        teacher.cache.open(replay, pictures)
        return model
    return cached


@pytest.fixture
def runs():
    """The calls of the teacher's backbone."""
    handles = []

    def runs(model):
        calls = []
        handles.append(model.teacher.detector.backbone.register_forward_hook(lambda *_: calls.append(1)))
        return calls
    yield runs
    for handle in handles:
        handle.remove()


def live_step(model, batch=None):
    """As without a cache."""
    (teacher,) = model._teachers.values()
    cache, teacher.cache = teacher.cache, None
    model.zero_grad()
    try:
        return training_step(model, batch)
    finally:
        teacher.cache = cache


def cached_step(model, batch=None):
    model.zero_grad()
    found = training_step(model, batch)
    model.teacher_caches[''].close()
    return found


def entries(folder):
    return sorted(folder.glob('*/??/*.safetensors'))


def flipped_batch(batch, direction='horizontal'):
    """As the data pipeline flips it."""
    batch = copy.deepcopy(batch)
    batch['inputs'] = [image.flip(dict(horizontal=[2], vertical=[1])[direction]) for image in batch['inputs']]
    for sample in batch['data_samples']:
        sample.set_metainfo(dict(flip=True, flip_direction=direction))
    return batch


def equal(first, second):
    (log, gradients), (other, others) = first, second
    return log == other and gradients.keys() == others.keys() and all(
        torch.equal(value, others[name]) for name, value in gradients.items())


@pytest.mark.parametrize('family', [
    'retinanet', *(pytest.param(name, marks=pytest.mark.slow) for name in list(FAMILIES)[1:])])
def test_losses_and_gradients_are_the_live_ones_bit_for_bit(tmp_path, family, cached, runs):
    model = cached(family)
    calls = runs(model)
    live = live_step(model)
    assert len(calls) == 1
    assert equal(cached_step(model), live) and len(calls) == 2 and len(entries(tmp_path)) == 2
    assert equal(cached_step(model), live) and len(calls) == 2  # read, not computed
    turned = {key: value[::-1] for key, value in toy_samples().items()}  # in any order
    assert equal(cached_step(model, turned), live_step(model, turned)) and len(calls) == 3


@pytest.mark.parametrize(('dtype', 'tolerance'), [
    ('float16', 1e-3), pytest.param('float32', 0, marks=pytest.mark.slow),
    pytest.param('bfloat16', 1e-2, marks=pytest.mark.slow)])
def test_rounded_entries_change_losses_within_the_tolerance(dtype, tolerance, cached):
    model = cached(dtype=dtype)
    live, _ = live_step(model)
    cached_step(model)
    log, _ = cached_step(model)
    assert abs(log['loss_hint'] - live['loss_hint']) <= tolerance * live['loss_hint']
    assert (log['loss_hint'] == live['loss_hint']) == (tolerance == 0)


def test_the_other_flips_are_written_with_the_first(tmp_path, cached, runs):
    """They are the pipeline's own, bit for bit; padding stays at the right and at the bottom."""
    model = cached(replay=Replay(flips=(None, 'horizontal', 'vertical')))
    calls = runs(model)
    cached_step(model)
    assert len(calls) == 3 and len(entries(tmp_path)) == 6
    for direction in ('horizontal', 'vertical'):
        batch = flipped_batch(toy_samples(), direction)
        assert equal(cached_step(model, batch), live_step(model, batch))
    assert len(calls) == 3 + 2  # the two live ones


def test_where_a_flip_is_not_the_last_it_is_written_as_it_comes(tmp_path, cached, runs):
    model = cached(replay=Replay(flips=(None, 'horizontal'), mirrored=False))
    calls = runs(model)
    cached_step(model)
    cached_step(model, flipped_batch(toy_samples()))
    assert len(calls) == 2 and len(entries(tmp_path)) == 4


@pytest.mark.slow
def test_another_padding_is_another_entry(tmp_path, cached):
    model = cached()
    cached_step(model)
    larger = toy_samples(sizes=((128, 160), (96, 120)))
    live = live_step(model, larger)
    assert equal(cached_step(model, larger), live) and len(entries(tmp_path)) == 4


def test_a_batch_with_one_missing_runs_live_as_a_whole(tmp_path, cached, runs):
    model = cached()
    cached_step(model)
    entries(tmp_path)[0].unlink()
    calls = runs(model)
    assert equal(cached_step(model), live_step(model)) and len(calls) == 2 and len(entries(tmp_path)) == 2


def test_a_damaged_entry_is_computed_again(cached, tmp_path):
    model = cached()
    live = cached_step(model)
    entry = entries(tmp_path)[0]
    whole = entry.read_bytes()
    entry.write_bytes(whole[:-8] + bytes(8))
    assert equal(cached_step(model), live) and entry.read_bytes() == whole


def test_one_pass_serves_methods_that_are_on_at_different_times(cached, runs):
    model = cached()
    model.methods['adl'].schedule = 0.0
    cached_step(model)
    calls = runs(model)
    model.methods['adl'].schedule = 1.0
    log, _ = cached_step(model)
    assert not calls and log['loss_adl'] > 0
    model.methods['adl'].schedule = model.methods['hint'].schedule = 0.0
    seen = model.teacher_caches[''].seen
    cached_step(model)
    assert not calls and model.teacher_caches[''].seen == seen  # nor is anything read


def test_other_weights_taps_and_types_have_entries_of_their_own(cached):
    first = cached().teacher_caches[''].store.folder
    assert cached().teacher_caches[''].store.folder == first
    folders = {first, cached(dtype='float16').teacher_caches[''].store.folder,
               cached('fcos').teacher_caches[''].store.folder}
    model = built('retinanet')
    weight = model.teacher.detector.backbone.conv1.weight
    weight += 1
    folders.add(cached().teacher_caches[''].store.folder)
    weight -= 1
    model.methods['adl'].loss_weight = 0.0
    folders.add(cached().teacher_caches[''].store.folder)
    model.methods['adl'].loss_weight = 1.0
    assert len(folders) == 5


def test_what_will_not_fit_is_refused_before_anything_is_written(tmp_path, monkeypatch, cached):
    with pytest.raises(ValueError, match=r'about 0\.\d+ GB \(1000 pictures x 2 flips and sizes x 0\.\d+ MB\); max_gb '
                                         r"is 0.01. Take dtype='float16'"):
        cached_step(cached(replay=Replay(flips=(None, 'horizontal')), pictures=1000, max_gb=0.01))
    monkeypatch.setattr('shutil.disk_usage', lambda _: type('', (), dict(free=10**6)))
    with pytest.raises(ValueError, match='0.001 GB are free on its disk'):
        cached_step(cached(pictures=1000))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_max_gb_holds_where_batches_have_more_sizes_than_one(cached, runs, tmp_path):
    cached_step(model := cached())
    size = model.teacher_caches[''].writer.budget.written
    calls = runs(model)
    cached(max_gb=1.5 * size / 1e9)
    other = toy_samples(sizes=((128, 160), (96, 120)))
    cached_step(model)
    for _ in range(2):
        cached_step(model, other)
    assert len(entries(tmp_path)) == 2 and len(calls) == 2


def test_values_beyond_float16_are_refused(cached):
    model = cached(dtype='float16')
    bias = model.teacher.detector.neck.fpn_convs[0].conv.bias
    before = bias.clone()
    try:
        with pytest.raises(ValueError, match="gives values up to 1.*e.06, beyond the float16.*dtype='bfloat16'"):
            bias.fill_(1e6)
            cached_step(model)
    finally:
        bias.copy_(before)


@pytest.mark.slow
def test_on_miss_compute_writes_nothing_and_reads_what_is_there(cached, runs, tmp_path):
    model = cached(on_miss='compute')
    calls = runs(model)
    live = live_step(model)
    assert equal(cached_step(model), live) and len(calls) == 2 and not entries(tmp_path)
    cached_step(cached())
    model = cached(on_miss='compute')
    assert equal(cached_step(model), live) and len(calls) == 3 and len(entries(tmp_path)) == 2
    model.teacher_caches[''].open(None, 2)  # a pipeline that cannot be replayed
    assert equal(cached_step(model), live) and len(calls) == 4


def test_it_says_how_much_was_found(cached):
    model = cached()
    cached_step(model)
    cached_step(model)
    assert model.teacher_caches[''].report().startswith('teacher cache: 2 of 4 pictures read from ')
    cached_step(model)
    assert model.teacher_caches[''].report().startswith('teacher cache: 2 of 2 pictures read from ')


def test_a_run_without_the_hook_says_what_to_do(cached):
    model = cached()
    model.teacher_caches[''].opened = False
    with pytest.raises(ValueError, match="custom_hooks=.dict.type='kddet.TeacherCacheHook'"):
        training_step(model)


@pytest.mark.parametrize(('cache', 'message'), [
    (dict(dtype='int8'), "dtype of the teacher cache is 'int8', allowed are None, float32, float16, bfloat16"),
    (dict(on_miss='wait'), "on_miss of the teacher cache is 'wait', allowed are write, compute"),
    (dict(max_gb=0), 'max_gb of the teacher cache is 0, it must be more than 0'),
    (dict(folder='x'), "cache of the teacher takes no 'folder'; it takes dir, dtype, max_gb, on_miss, replayable")])
def test_wrong_arguments_are_named(cache, message):
    with pytest.raises(ValueError, match=message):
        check_methods(dict(config='c', checkpoint='p', cache=dict(cache, dir='x')), {})


def test_a_copy_for_ema_shares_it(cached):
    model = cached()
    assert copy.deepcopy(model).teacher_caches[''] is model.teacher_caches['']
    assert not any('cache' in key for key in model.state_dict())


@pytest.mark.slow
def test_mixed_precision_has_entries_of_its_own(tmp_path, cached):
    model = cached()
    cached_step(model)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        live = live_step(model)
        assert equal(cached_step(model), live) and len(entries(tmp_path)) == 4
        assert equal(cached_step(model), live)


@pytest.mark.gpu
@pytest.mark.parametrize('dtype', [None, 'float16'])
def test_records_on_a_gpu_are_what_was_computed(cached, dtype):
    model = cached(dtype=dtype)
    try:
        model.cuda()
        data = model.data_preprocessor(toy_samples(), True)
        cache, taps = model.teacher_caches[''], ['neck.P4']
        live = cache.record(data['inputs'], data['data_samples'], taps).pyramid('neck.P4')
        cache.close()
        read = cache.record(data['inputs'], data['data_samples'], taps)
        cache.wait(read)
        for own, other in zip(read.pyramid('neck.P4'), live, strict=True):
            assert own.device == other.device and own.dtype == other.dtype
            assert torch.equal(own, other if dtype is None else other.half().float())
    finally:
        model.cpu()
