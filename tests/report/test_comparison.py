"""Who gained and lost what."""
from types import SimpleNamespace

import pytest

from kddet.report.accuracy import Accuracy
from kddet.report.comparison import class_changes, glance, picture_changes, verdict


def accuracy(mean, classes=None, pictures=None):
    return Accuracy(dict(mAP=mean), classes or {}, pictures or {}, {})


def column(name, mark, mean=None, logged=None, teacher=None, classes=None):
    run = SimpleNamespace(teacher_files=teacher if isinstance(teacher, list) else [teacher] if teacher else [],
                          validated=lambda: {} if logged is None else dict(mAP=logged))
    return SimpleNamespace(name=name, mark=mark, teaches=mark == 'teacher', run=run,
                           taught=lambda other: mark == 'teacher' and teacher in other.teacher_files,
                           accuracy=None if mean is None else accuracy(mean, classes))


def test_share_of_the_gap_to_its_own_teacher():
    one, two = ('a.py', '1.pth'), ('a.py', '2.pth')
    base = column('plain', 'baseline', 20.0)
    rows = glance([column('t1', 'teacher', 40.0, teacher=one), column('t2', 'teacher', 15.0, teacher=two), base,
                   column('a', 'run0', 35.0, teacher=one), column('b', 'run1', 18.0, teacher=two)], base)
    assert [row.change for row in rows] == [20, -5, None, 15, -2]
    assert [row.closed for row in rows] == [None, None, None, 0.75, None]  # a worse teacher leaves no gap to close
    assert verdict(rows[3], base) == 'a reaches 35.0 mAP, 15.0 points more than plain, and closes 75% of the gap to ' \
        'its teacher.'
    assert verdict(rows[4], base) == 'b reaches 18.0 mAP, 2.0 points less than plain.'


def test_changes_are_over_the_classes_that_both_have():
    files = 'a.py', '1.pth'
    teacher = column('t', 'teacher', 50.0, teacher=files, classes=dict(a=40.0, b=60.0))
    base = column('plain', 'baseline', 30.0, classes=dict(a=10.0, b=20.0, c=60.0, d=None))
    own = column('own', 'run0', 20.0, teacher=files, classes=dict(a=20.0, b=30.0, c=10.0, d=None))
    rows = glance([teacher, base, own], base)
    assert [row.change for row in rows] == [35, None, -10]
    assert [row.part for row in rows] == [2, None, None] and [row.shared for row in rows] == [2, None, None]
    assert rows[2].closed == pytest.approx(10 / 35)
    row = glance([teacher, own], teacher)[1]
    assert (row.change, row.shared) == (-25, 2)
    assert verdict(row, teacher) == 'own reaches 20.0 mAP, 25.0 points less than t on the 2 classes that both have.'
    other = column('t', 'teacher', 5.0, teacher=files, classes=dict(e=5.0))
    assert glance([other, own], other)[1].change is None


def test_share_of_the_gap_to_the_best_of_several_teachers():
    one, two = ('a.py', '1.pth'), ('b.py', '2.pth')
    base = column('plain', 'baseline', 20.0)
    rows = glance([column('t1', 'teacher', 25.0, teacher=one), column('t2', 'teacher', 40.0, teacher=two), base,
                   column('a', 'run0', 35.0, teacher=[one, two])], base)
    assert rows[3].closed == 0.75
    assert verdict(rows[3], base).endswith('closes 75% of the gap to its best teacher.')


def test_what_was_not_measured_is_as_the_log_has_it():
    base, own = column('plain', 'baseline', logged=20.0), column('a', 'run0', logged=21.0)
    rows = glance([base, own, column('b', 'run1')], base)
    assert [(row.measures['mAP'], row.logged, row.change) for row in rows] == [
        (20, True, None), (21, True, 1), (None, False, None)]
    assert verdict(rows[2], base) == 'b: no accuracy is known.'
    measured = column('plain', 'baseline', 19.0)
    assert glance([measured, own], measured)[1].change is None  # figures of two kinds are not compared


def test_classes_and_pictures_that_changed_most_come_first():
    own = accuracy(0, dict(a=5.0, b=9.0, c=1.0, d=None, e=4.0), {1: 50.0, 2: 10.0, 3: None, 4: 90.0, 5: 30.0})
    other = accuracy(0, dict(a=4.0, b=2.0, c=3.0, d=1.0, e=4.0), {1: 20.0, 2: 70.0, 3: 5.0, 4: 10.0, 5: 30.0})
    gains, losses = class_changes(own, other, 8)
    assert [(change.name, change.change) for change in gains] == [('b', 7), ('a', 1)]
    assert [(change.name, change.own, change.change) for change in losses] == [('c', 1, -2)]
    assert [change.name for change in class_changes(own, other, 1)[0]] == ['b']
    assert picture_changes(own, other, 1) == [(4, pytest.approx(80)), (2, pytest.approx(-60))]
