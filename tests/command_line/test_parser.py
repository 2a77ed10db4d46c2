"""Files of the command line, with and without names."""
import pytest

from kddet.command_line.parser import named_files, spread


def test_one_file_has_no_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'a=b.py').touch()
    for path in ('t.py', 'a=b.py', 'x/a=b.py', 'https://x/y.pth?version=2', 'mmdet::a/b.py'):
        assert named_files([path], '--teacher') == path
    assert named_files(None, '--teacher') is None
    assert named_files(['c=b.py'], '--teacher') == dict(c='b.py')


def test_several_have_names():
    assert named_files(['a=t.py', 'b=x=y.py'], '--teacher') == dict(a='t.py', b='x=y.py')
    with pytest.raises(ValueError, match="among several, 't.py' needs a name, as in --teacher name=t.py"):
        named_files(['a=t.py', 't.py'], '--teacher')
    with pytest.raises(ValueError, match='--teacher is given a=t.py a=u.py: every name once'):
        named_files(['a=t.py', 'a=u.py'], '--teacher')


def test_what_follows_without_a_name_is_not_one_of_them():
    given = ['--teacher', 'a=t.py', 'b=u.py', 'student.py', '--method', 'x=hint', 'y=hint']
    assert spread(given, '--teacher') == ['--teacher', 'a=t.py', '--teacher', 'b=u.py', 'student.py', '--method',
                                          'x=hint', 'y=hint']
    for own in (['--teacher', 't.py', 'student.py'], ['--teacher', 'a=t.py', '--teacher', 'b=u.py'], []):
        assert spread(own, '--teacher') == own
