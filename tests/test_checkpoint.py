import functools
import os
import pickle
import threading
from collections import OrderedDict
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.registry import MODELS
from torch import nn

from kddet import checkpoint
from kddet.checkpoint import (
    check_checkpoint,
    file_hash,
    load_checkpoint,
    load_weights,
    save_whole,
    state_dict_of,
    student_weights,
)
from kddet.testing import tiny_detector


@pytest.fixture(params=['torch >= 2.6', 'torch < 2.6'])
def either_torch(request, monkeypatch):
    """Both ways of loading run on this torch."""
    if request.param == 'torch < 2.6':
        monkeypatch.setattr(checkpoint, 'TORCH_HAS_ALLOW_LIST', False)
    elif not checkpoint.TORCH_HAS_ALLOW_LIST:
        pytest.skip('this torch has no allow-list')


class Payload:
    """What an attacker would store: building it creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f'touch {self.path}',)


class Sneaky:
    """Reaches for something else through the one `getattr` that history buffers need."""

    def __init__(self, owner, name):
        self.what = owner, name

    def __reduce__(self):
        return getattr, self.what


def mmengine_like(**extra):
    buffer = HistoryBuffer()
    for value in (3.0, 2.0, np.float64(1.0)):
        buffer.update(float(value))
    return dict(meta=dict(epoch=1, seed=0, dataset_meta=dict(classes=('a', 'b'), palette=[(1, 2, 3)])),
                state_dict=OrderedDict(weight=nn.Parameter(torch.ones(2)), half=torch.ones(2, dtype=torch.bfloat16)),
                message_hub=dict(log_scalars=OrderedDict(loss=buffer), runtime_info=OrderedDict(
                    best=np.float32(0.5), count=np.int64(3), flag=np.bool_(True), array=np.arange(3))),
                param_schedulers=[torch.optim.lr_scheduler.MultiStepLR(
                    torch.optim.SGD([nn.Parameter(torch.ones(1))], 0.1), [1, 2]).state_dict()], **extra)


def test_what_mmengine_stores_is_loaded_without_trust(either_torch, tmp_path):
    path = tmp_path / 'epoch_1.pth'
    torch.save(mmengine_like(), path)
    loaded = load_checkpoint(path)
    buffer = loaded['message_hub']['log_scalars']['loss']
    assert isinstance(buffer, HistoryBuffer) and buffer.mean() == 2.0 and buffer.statistics('min') == 1.0
    assert loaded['message_hub']['runtime_info']['count'] == 3
    assert torch.equal(loaded['state_dict']['half'], torch.ones(2, dtype=torch.bfloat16))
    torch.load(path)  # and so can the Runner, on `--resume`


def test_any_other_object_is_refused_and_not_run(either_torch, tmp_path):
    path, proof = tmp_path / 'evil.pth', tmp_path / 'proof'
    torch.save(mmengine_like(evil=Payload(proof)), path)
    with pytest.raises(ValueError, match=r"evil.pth' is refused: .*(posix|os)\.system"):
        load_checkpoint(path)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path)
    assert not proof.exists()
    load_checkpoint(path, trust=True)  # asked for: this one does run it
    assert proof.exists()


@pytest.mark.parametrize(('owner', 'name'), [(HistoryBuffer, '__init__'), (HistoryBuffer, 'update'), (dict, 'min')])
def test_getattr_answers_the_four_statistics_alone(either_torch, tmp_path, owner, name):
    path = tmp_path / 'sneaky.pth'
    torch.save(dict(state_dict=dict(a=torch.ones(1)), x=Sneaky(owner, name)), path)
    with pytest.raises(ValueError, match='refused'):
        load_checkpoint(path)


@pytest.mark.parametrize('content', [b'', b'not a checkpoint at all', b'model = dict()\n.', None],
                         ids=['empty', 'text', 'config', 'half'])
def test_damaged_files_are_named(either_torch, tmp_path, content):
    path = tmp_path / 'broken.pth'
    torch.save(mmengine_like(), path)
    path.write_bytes(path.read_bytes()[:400] if content is None else content)
    with pytest.raises(ValueError, match='broken.pth'):
        load_checkpoint(path)


def test_a_file_without_weights_says_what_it_has(tmp_path):
    torch.save(dict(a=1, b=2), tmp_path / 'x.pth')
    with pytest.raises(ValueError, match=r"no weights .*\['a', 'b'\]"):
        state_dict_of(load_checkpoint(tmp_path / 'x.pth'))
    torch.save([1], tmp_path / 'y.pth')
    with pytest.raises(ValueError, match='holds a list'):
        load_checkpoint(tmp_path / 'y.pth')


def test_student_weights_drop_what_is_the_distillers():
    state = OrderedDict({'module.a.weight': torch.ones(1), 'module.distiller.methods.h.weight': torch.ones(2)})
    assert list(student_weights(dict(state_dict=state))) == ['a.weight']


def test_coverage_is_one_line():
    model = nn.BatchNorm2d(3)
    weights = OrderedDict((key, torch.ones(3)) for key in ('weight', 'bias', 'running_mean', 'running_var'))
    line = load_weights(model, weights, name='it')  # num_batches_tracked may be missing, as in old files
    assert line == 'it: 5 of 5 tensors loaded' and '\n' not in line
    assert (model.bias == 1).all()


def test_files_are_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / 'deep' / 'x.pth'
    save_whole(dict(a=torch.ones(1)), path)
    before = path.read_bytes()
    with pytest.raises((AttributeError, pickle.PicklingError, TypeError)):
        save_whole(dict(a=lambda: 0), path)
    assert path.read_bytes() == before and [p.name for p in path.parent.iterdir()] == ['x.pth']


def test_hash_names_the_content(tmp_path):
    (tmp_path / 'a').write_bytes(b'abc')
    assert file_hash(tmp_path / 'a') == 'ba7816bf8f01'  # the standard's own example


def test_old_format_is_read(tmp_path):
    torch.save(dict(state_dict=dict(a=torch.ones(2))), tmp_path / 'old.pth', _use_new_zipfile_serialization=False)
    check_checkpoint(str(tmp_path / 'old.pth'))
    assert torch.equal(load_checkpoint(tmp_path / 'old.pth')['state_dict']['a'], torch.ones(2))


def test_a_config_that_mmengine_would_execute_is_refused(tmp_path):
    torch.save(dict(mmengine_like(), meta=dict(config='import os')), tmp_path / 'x.pth')
    with pytest.raises(ValueError, match='MMEngine would execute'):
        check_checkpoint(str(tmp_path / 'x.pth'))


def test_urls_are_downloaded_once_and_loaded_as_safely(tmp_path, monkeypatch):
    (tmp_path / 'served').mkdir()
    torch.save(dict(state_dict=dict(a=torch.ones(2))), tmp_path / 'served/good.pth')
    torch.save(mmengine_like(evil=Payload(tmp_path / 'proof')), tmp_path / 'served/evil.pth')
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(tmp_path / 'served'))
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f'http://127.0.0.1:{server.server_port}'
        assert torch.equal(load_checkpoint(f'{url}/good.pth')['state_dict']['a'], torch.ones(2))
        with pytest.raises(ValueError, match='refused'):
            load_checkpoint(f'{url}/evil.pth')
        with pytest.raises(ValueError, match='refused'):
            check_checkpoint(f'{url}/evil.pth')
        assert check_checkpoint(f'{url}/good.pth') == str(tmp_path / 'hub/checkpoints/good.pth')
        with pytest.raises(ValueError, match='cannot be downloaded .*404'):
            load_checkpoint(f'{url}/gone.pth')
        server.shutdown()
    load_checkpoint(f'{url}/good.pth')  # from the cache
    assert not (tmp_path / 'proof').exists()


def test_keys_of_old_versions_and_a_stored_preprocessor_are_covered():
    detector = MODELS.build(dict(tiny_detector('fcos'), _scope_='mmdet'))
    weights = OrderedDict((key.replace('bbox_head.conv_cls', 'bbox_head.fcos_cls'), value)
                          for key, value in detector.state_dict().items())
    weights['data_preprocessor.mean'] = torch.zeros(3)
    load_weights(detector, weights, name='an old file')


def test_files_of_old_torch_can_be_looked_at(tmp_path):
    torch.save(dict(meta=dict(CLASSES=('a',)), state_dict=dict(a=torch.ones(2))), tmp_path / 'old.pth',
               _use_new_zipfile_serialization=False)
    assert load_checkpoint(tmp_path / 'old.pth', mmap=True)['meta']['CLASSES'] == ('a',)
