"""The page as text."""
import copy
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

import kddet.report
from kddet.preflight import Report
from kddet.preflight.accuracy import _judged
from kddet.preflight.report import write_report
from kddet.project.evaluation import Evaluation
from kddet.report import make_report
from kddet.report.comparison import glance
from kddet.report.detectors import line_up
from kddet.report.page import points, signed
from kddet.report.preflight_accuracy import before_training
from kddet.report.run_folder import RunFolder
from kddet.teachers.accuracy import OWN_DATA, teacher_accuracy

VOID = {'meta', 'link', 'br'}


class Reader(HTMLParser):
    """Checks that what is opened is closed, and keeps text and addresses."""

    def __init__(self, text):
        super().__init__()
        self.open, self.addresses, self.ids, self.words = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.open.append(tag)
        found = dict(attributes)
        self.addresses += [found[key] for key in ('href', 'src') if key in found]
        self.ids += [found['id']] if 'id' in found else []

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.mark.slow
def test_it_stands_alone(page):
    read = Reader(page)
    assert len(set(read.ids)) == len(read.ids)
    assert all(address.startswith(('data:', '#')) for address in read.addresses)
    assert {address[1:] for address in read.addresses if address.startswith('#')} <= set(read.ids)
    assert '<script' not in page and '@import' not in page and 'url(' not in page


@pytest.mark.slow
def test_every_part_is_there(page):
    text = ' '.join(''.join(Reader(page).words).split())
    for part in ('hint against baseline', 'HintLearning(loss_weight=0.5)', 'a learns from b', 'it is low',
                 'on 4 images', 'What to do: look', 'mAP on validation', 'loss_hint', 'mAP of each class',
                 'The pictures where the two differ most', 'parameters trained beside it', 'bbox_head=dict('):
        assert part in text
    assert page.count('<image ') == page.count('class="scene"') > 0


@pytest.mark.slow
def test_the_teachers_figure_is_the_one_that_is_measured_elsewhere(page, distilled_config):
    found = teacher_accuracy(distilled_config, cache=None)
    row = re.search(r'<tr><th scope="row"><span[^>]*></span>teacher</th><td><strong>([\d.]+)</strong>', page)
    assert float(row[1]) == pytest.approx(100 * found.mean_ap, abs=0.11) and '*' not in row[0]


@pytest.mark.slow
def test_again_from_what_is_kept(page, work_dirs, cache, monkeypatch):
    monkeypatch.setattr('kddet.report.detections._detect', lambda *_: pytest.fail('worked out again'))
    said = []
    again = make_report([work_dirs[1]], work_dirs[0], pictures=1, cache=cache, say=said.append)
    assert said == [f'{name} was measured before, read from {cache}' for name in ('teacher', 'baseline', 'hint')]
    assert re.sub('Written by .*', '', again) == re.sub('Written by .*', '', page)


def test_values_are_escaped(leave_behind, plain_config):
    cfg = plain_config.copy()
    cfg.load_from = '<script>alert(1)</script>'
    page = make_report([leave_behind('<b>&"', cfg)], measure=False)
    assert '<script' not in page and '<b>' not in page and '&lt;b&gt;&amp;&#34;' in page
    Reader(page)


def test_without_evaluation_the_log_speaks(work_dirs):
    page = make_report([work_dirs[1]], work_dirs[0], measure=False)
    assert 'logged it last' in page and '<strong>20.0</strong>*' in page and 'class="scene"' not in page
    Reader(page)


def test_a_teacher_without_a_figure_is_not_measured(work_dirs):
    page = make_report([work_dirs[1]], work_dirs[0], measure=False)
    row = re.search(r'<tr><th scope="row"><span[^>]*></span>teacher</th>.*?</tr>', page, re.S)[0]
    assert row.count('not measured') == 6 and '–' not in row


def test_it_has_the_figure_of_the_report_before_the_first_step(work_dirs, tmp_path):
    run = RunFolder(shutil.copytree(work_dirs[1], tmp_path / 'hint'))
    report = run.path / 'start/preflight.json'

    def row(**more):
        lines = [_judged(Evaluation({'coco/bbox_mAP': 0.316}, {}, 4, 8, **more), 0.01)]
        write_report(Report('a learns from b', lines), report.parent)
        return before_training(glance(line_up([run], None, []), None)[0])
    found = row()
    assert (found.measures['mAP'], found.before) == (pytest.approx(31.6), 'before training, on 4 of 8 pictures')
    assert row(of_classes=['a', 'b', 'c']).before.endswith('8 pictures, 3 classes')
    assert row(where=OWN_DATA).measures['mAP'] is None
    report.write_text('{"title": "cut')
    assert run.preflight is None


def test_twelve_runs_are_told_apart(work_dirs):
    columns = line_up([copy.copy(RunFolder(work_dirs[0])) for _ in range(12)], None, [])
    marks = [column.mark for column in columns]
    style = (Path(kddet.report.__file__).parent / 'page.css').read_text()
    assert len(set(marks)) == 12
    assert all(f'.{mark} {{ --mark: var(--run{int(mark[3:]) % 6}); }}' in style for mark in marks)
    broken = re.search(r'\.line:is\((.*?)\) { stroke-dasharray', style)[1].split(', ')
    assert {f'.{mark}' for mark in marks} - set(broken) == {f'.run{index}' for index in range(6)}


@pytest.mark.slow
def test_without_a_baseline_the_teacher_is_the_measure(work_dirs, cache):
    page = make_report([work_dirs[1]], pictures=0, cache=cache)
    assert 'against teacher' in page and 'gap closed' not in page
    Reader(page)


@pytest.mark.slow
def test_what_is_gone_is_said(leave_behind, distilled_config, cache):
    cfg = distilled_config.copy()
    cfg.merge_from_dict({'model.teacher.checkpoint': distilled_config.model.teacher.checkpoint})
    run = leave_behind('gone', cfg)
    config = run / 'start/vis_data/config.py'
    (run / 'epoch_2.pth').unlink()
    config.write_text(config.read_text().replace('teacher.pth', 'gone.pth'))
    page = make_report([run], cache=cache)
    assert 'What is missing here' in page and 'gone.pth' in page and 'no checkpoint in' in page
    config.write_text(config.read_text().replace('teacher.py', 'gone.py'))
    assert 'The teacher of gone is not on this page' in make_report([run], cache=cache)


def test_runs_on_other_data_are_refused(work_dirs, leave_behind, plain_config):
    cfg = plain_config.copy()
    cfg.merge_from_dict({'val_dataloader.dataset.ann_file': 'other.json'})
    with pytest.raises(ValueError, match='validated on different data.*hint on .*val.json; other on .*other.json'):
        make_report([work_dirs[1], leave_behind('other', cfg)])
    cfg = plain_config.copy()
    cfg.merge_from_dict({'val_dataloader.dataset.metainfo': dict(classes=('one', 'two'))})
    with pytest.raises(ValueError, match='validated on different classes.*hint on zero, one.*; fewer on one, two'):
        make_report([work_dirs[1], leave_behind('fewer', cfg)])


def test_numbers():
    assert [points(value) for value in (None, 0.0, 12.34)] == ['–', '0.0', '12.3']
    assert [signed(value) for value in (1.26, -1.26, 0.04, -0.04)] == ['+1.3', '−1.3', '±0.0', '±0.0']
