"""Boxes of any other tool become pseudo labels: what the data set then reads is what the tool wrote."""
import json
import sys
from importlib import util

import mmcv
import numpy as np
import pytest

from kddet import UnlabelledDataset
from kddet.datasets.foreign_boxes import pictures_with_boxes, read_results

IMAGES = [dict(id=17, file_name='b.png', width=60, height=40), dict(id=4, file_name='deep/a.jpg')]


def box(image=17, category=30, score=0.9, sides=(5, 6, 20, 10)):
    return dict(image_id=image, category_id=category, bbox=list(sides), score=score)


@pytest.fixture
def folder(tmp_path):
    for image in IMAGES:
        mmcv.imwrite(np.zeros((40, 60, 3), dtype=np.uint8), str(tmp_path / image['file_name']))
    (tmp_path / 'ann.json').write_text(json.dumps(dict(
        images=IMAGES, annotations=[dict(id=1, image_id=17, category_id=20, bbox=[0, 0, 11, 11], iscrowd=0, area=121)],
        categories=[dict(id=30, name='dog'), dict(id=20, name='cat')])))
    return tmp_path


def run_tool(repository, monkeypatch, folder, entries, *arguments):
    (folder / 'results.json').write_text(json.dumps(entries))
    spec = util.spec_from_file_location('pseudo_label', repository / 'tools/pseudo_label.py')
    tool = util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    monkeypatch.setattr(sys, 'argv', ['pseudo_label.py', '--boxes', str(folder / 'results.json'), '--ann',
                                      str(folder / 'ann.json'), '--out', str(folder / 'out.json'), *arguments])
    tool.main()


def test_results_of_another_tool_are_pseudo_labels(repository, monkeypatch, folder):
    """Over the threshold, clipped to the picture, by id or by the stem of the file's name; the json's own are not read.
    """
    entries = [box(), box(score=0.3), box('a', 20, sides=(50, 30, 100, 100)), box(4, sides=(0, 0, 0.2, 9))]
    run_tool(repository, monkeypatch, folder, entries, '--score-thr', '0.5')
    data = UnlabelledDataset(ann_file=str(folder / 'out.json'), data_prefix=dict(img=str(folder)), pipeline=[],
                             metainfo=dict(classes=('dog', 'cat')))
    data.full_init()
    found = {info['img_id']: [(own['bbox_label'], own['bbox']) for own in info['instances']]
             for info in map(data.get_data_info, range(len(data)))}
    assert found == {17: [(0, [5, 6, 25, 16])], 4: [(1, [50, 30, 60, 40])]}
    info = json.loads((folder / 'out.json').read_text())['info']
    assert len(info['boxes_sha256']) == 12 and info['score_thr'] == 0.5


def test_a_tool_that_counts_classes_from_0(repository, monkeypatch, folder):
    run_tool(repository, monkeypatch, folder, [box(category=19), box(category=29)], '--category-offset', '1')
    assert [own['category_id'] for own in json.loads((folder / 'out.json').read_text())['annotations']] == [20, 30]


@pytest.mark.parametrize(('entries', 'message'), [
    ([], 'holds no boxes; it must be a list of COCO results'),
    (dict(annotations=[dict(image_id=17, category_id=30, bbox=[1, 2, 3, 4])]), 'entry 0 .* must have image_id'),
    ([box(), box(sides=(1, 2, 3))], 'entry 1 .* the box as'),
    ([box(score=float('nan'))], 'all of them numbers'),
])
def test_what_is_no_list_of_results_is_refused(tmp_path, entries, message):
    (tmp_path / 'results.json').write_text(json.dumps(entries))
    with pytest.raises(ValueError, match=message):
        read_results(tmp_path / 'results.json')


@pytest.mark.parametrize(('entry', 'message'), [
    (box(image=99), "1 of 1 pictures with boxes are not in the json that names the pictures, the first is image_id 99"),
    (box(category=29), 'boxes have category_id 29, and the categories have 30, 20.*--category-offset 1'),
])
def test_boxes_of_other_pictures_or_classes_are_refused(folder, entry, message):
    with pytest.raises(ValueError, match=message):
        list(pictures_with_boxes([entry], IMAGES, [30, 20], folder, score_thr=0.5))


@pytest.mark.parametrize(('arguments', 'message'), [
    (('my.py', 'my.pth'), 'with a detector, my.py; leave one of them out'),
])
def test_boxes_and_a_detector_are_refused(repository, monkeypatch, folder, arguments, message):
    with pytest.raises(ValueError, match=message):
        run_tool(repository, monkeypatch, folder, [box()], *arguments)
