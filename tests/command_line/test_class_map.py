"""Classes of two lists on the command line."""
import pytest

from kddet.command_line.class_map import CLASS, class_map
from kddet.command_line.parser import spread


def test_auto_or_a_table():
    assert class_map(None) is None and class_map(['auto']) == 'auto'
    assert class_map(['lorry=truck', 'traffic light=light', '1=2']) == {
        'lorry': 'truck', 'traffic light': 'light', '1': '2'}


@pytest.mark.parametrize(('given', 'message'), [
    (['all'], "--class-map 'all' is neither auto, alone, nor a pair of names"),
    (['auto', 'a=b'], "'auto' is neither"), (['a='], "'a=' is neither"), (['=b'], "'=b' is neither"),
    (['a=b=c'], "'a=b=c' is neither"), (['a=b', 'a=c'], 'a=b a=c: every class of the student once')])
def test_refuses(given, message):
    with pytest.raises(ValueError, match=message):
        class_map(given)


def test_what_follows_the_table_is_not_a_part_of_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = ['--class-map', 'lorry=truck', 'traffic light=light', 'student.py', '--method=hint']
    assert spread(given, '--class-map', name=CLASS) == [
        '--class-map', 'lorry=truck', '--class-map', 'traffic light=light', 'student.py', '--method=hint']
    for own in (['--class-map', 'auto', 'student.py'], ['--class-map', 'a=b', '--amp=c']):
        assert spread(own, '--class-map', name=CLASS) == own
