import multiprocessing
import os
import time

import pytest
import torch

from kddet.cache.store import Store, folder_bytes

TENSORS = {'0': torch.arange(24.).reshape(2, 3, 4), '1': torch.ones(5, dtype=torch.bfloat16), '2': torch.tensor([True])}
def write_again_and_again(store):
    for index in range(60):
        store.write(f'{index % 5:02d}key', {'0': torch.full((1000,), float(index % 5))}, 'layout')


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / 'cache')


def test_an_entry_comes_back_as_it_was(store):
    assert 'abc' not in store and store.read('abc') is None
    size = store.write('abc', TENSORS, 'arranged so')
    tensors, layout = store.read('abc')
    assert 'abc' in store and layout == 'arranged so' and size == store.path('abc').stat().st_size
    assert tensors.keys() == TENSORS.keys() and all(torch.equal(tensors[key], TENSORS[key]) for key in TENSORS)
    assert folder_bytes(store.folder) == size


@pytest.mark.parametrize('damage', [
    lambda data: data[:len(data) // 2], lambda data: data[:10], lambda data: b'', lambda data: data + b'0',
    lambda data: data[:-40] + bytes(8) + data[-32:], lambda data: bytes(len(data)),
    lambda data: data.replace(b'checksum', b'checkmus')], ids=['half', 'head', 'empty', 'more', 'lost', 'zero', 'else'])
def test_a_damaged_entry_is_none_and_is_removed(store, damage):
    store.write('abc', TENSORS, 'layout')
    path = store.path('abc')
    path.write_bytes(damage(path.read_bytes()))
    assert store.read('abc') is None and 'abc' not in store


def test_a_writer_that_is_killed_leaves_no_entry(store, monkeypatch):
    monkeypatch.setattr(os, 'replace', lambda *_: os._exit(9))  # after the last byte, before the name
    if not (child := os.fork()):
        store.write('abc', TENSORS, 'layout')
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    (left,) = store.folder.glob('??/.*')
    assert 'abc' not in store
    store.remove_abandoned()
    assert left.exists()  # it may have a writer yet
    os.utime(left, (time.time() - 7200,) * 2)
    store.remove_abandoned()
    assert not left.exists()


def test_a_write_that_fails_leaves_nothing(store, monkeypatch):
    monkeypatch.setattr(os, 'replace', lambda *_: (_ for _ in ()).throw(OSError('no space left')))
    with pytest.raises(OSError, match='no space left'):
        store.write('abc', TENSORS, 'layout')
    assert not folder_bytes(store.folder)


def test_processes_that_write_the_same_entries_at_once_leave_them_whole(store):
    context = multiprocessing.get_context('fork')
    writers = [context.Process(target=write_again_and_again, args=(store,)) for _ in range(2)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        for index in range(5):
            entry = store.read(f'{index:02d}key') if f'{index:02d}key' in store else None
            assert entry is None or (entry[0]['0'] == index).all()
    assert [writer.exitcode for writer in writers] == [0, 0] and len(list(store.folder.glob('??/*'))) == 5
    assert all((store.read(f'{index:02d}key')[0]['0'] == index).all() for index in range(5))
