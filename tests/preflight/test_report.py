"""Lines, verdicts and the screen that they fill."""
import pytest

from kddet.errors import RunFailed
from kddet.preflight.report import FILE, NOTE, OK, STOP, WIDTH, Line, Report, read_report, write_report


def test_every_line_shows_its_verdict_its_details_and_its_remedy():
    text = str(Report('a learns from b', [Line('teacher', OK, 'whole'), Line('batch', NOTE, 'small', 'scale it'),
                                          Line('hint', OK, 'on', details=['neck'])]))
    lines = text.splitlines()
    assert lines[0] == 'pre-flight: a learns from b'
    assert lines[1].split() == ['ok', 'teacher', 'whole']
    assert lines[2].split() == ['note', 'batch', 'small'] and lines[3].split() == ['>', 'scale', 'it']
    assert lines[5].strip() == 'neck' and lines[5].index('neck') == lines[1].index('whole')
    assert lines[6].strip() == 'go: 1 note, 2 ok'


def test_lines_of_several_teachers_have_its_name_in_front():
    line = Line('size', NOTE, 'it was tested at 1', 'scale it', ['detail'])
    assert line.of('') == line
    assert line.of('x101') == Line('size', NOTE, 'x101: it was tested at 1', 'scale it', ['detail'], 'x101')


def test_long_texts_are_wrapped_below_themselves():
    text = str(Line('teacher', NOTE, 'word ' * 60, 'remedy ' * 40, ['detail ' * 30]))
    assert all(len(line) <= WIDTH for line in text.splitlines()) and len(text.splitlines()) > 6
    assert not any(line[:20].strip() for line in text.splitlines()[1:])


def test_it_is_read_as_it_was_written(tmp_path):
    report = Report('a learns', [Line('teacher', NOTE, 'mAP 0', 'look', ['one', 'two']),
                                 Line('a', OK, 'b', measured=dict(mAP=0.5))])
    write_report(report, tmp_path)
    assert read_report(tmp_path / FILE) == report


def test_a_stop_refuses_the_run_with_text_and_remedy():
    report = Report('x', [Line('accuracy', STOP, 'mAP 0', 'look'), Line('a', NOTE, 'b', 'c')])
    assert str(report).endswith('stop: 1 stop, 1 note')
    with pytest.raises(RunFailed, match='^accuracy: mAP 0; look$'):
        report.check()
    Report('x', [Line('a', NOTE, 'b')]).check()
