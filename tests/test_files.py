import os

import pytest

from kddet.files import write_whole


def test_what_was_there_stays_where_writing_fails(tmp_path, monkeypatch):
    file = tmp_path / 'new/a.json'
    write_whole(file, b'one')

    def fail(*names):
        raise OSError('no space left')
    monkeypatch.setattr(os, 'replace', fail)
    with pytest.raises(OSError, match='no space left'):
        write_whole(file, b'two')
    assert file.read_bytes() == b'one' and os.listdir(file.parent) == ['a.json']
