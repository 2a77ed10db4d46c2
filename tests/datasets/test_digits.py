import hashlib
import json

import pytest
from pycocotools.coco import COCO

from kddet.datasets import make_digits
from kddet.datasets.digits import CLASSES


def digest(folder):
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob('*')) if path.is_file()}


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    for name, seed in (('a', 3), ('b', 3), ('c', 4)):
        make_digits(tmp_path / name, train=6, val=3, size=96, seed=seed)
    assert digest(tmp_path / 'a') == digest(tmp_path / 'b') != digest(tmp_path / 'c')
    assert len(digest(tmp_path / 'a')) == 6 + 3 + 2


def test_unlabelled_pictures_come_without_boxes_and_leave_the_others_as_they_are(tmp_path):
    make_digits(tmp_path / 'a', train=6, val=3, size=96)
    make_digits(tmp_path / 'b', train=6, val=3, unlabelled=4, size=96)
    with_them = digest(tmp_path / 'b')
    assert digest(tmp_path / 'a').items() <= with_them.items() and len(with_them) == 6 + 3 + 2 + 4 + 2
    content, truth = (json.loads((tmp_path / f'b/instances_unlabelled{suffix}.json').read_text())
                      for suffix in ('', '-truth'))
    assert content['annotations'] == [] and truth['annotations'] and content['images'] == truth['images']
    assert (tmp_path / 'b/unlabelled' / content['images'][0]['file_name']).is_file()


def test_is_what_it_says(tmp_path):
    make_digits(tmp_path, train=60, val=20, size=160)
    for split, count in (('train', 60), ('val', 20)):
        content = json.loads((tmp_path / f'instances_{split}.json').read_text())
        assert len(content['images']) == count
        assert [category['name'] for category in content['categories']] == list(CLASSES)
        boxes = {image['id']: [] for image in content['images']}
        for annotation in content['annotations']:
            x, y, w, h = annotation['bbox']
            assert x >= 0 and y >= 0 and x + w <= 160 and y + h <= 160
            assert 14 <= max(w, h) <= 64 and annotation['area'] == w * h
            boxes[annotation['image_id']].append(annotation)
        assert all(2 <= len(own) <= 8 for own in boxes.values())
        assert max(map(len, boxes.values())) >= 7 and min(map(len, boxes.values())) <= 3
        COCO(str(tmp_path / f'instances_{split}.json'))


def test_train_and_val_draw_on_disjoint_samples(tmp_path, monkeypatch):
    from kddet.datasets import digits
    seen = {}
    monkeypatch.setattr(digits, '_write_split', lambda out, split, count, size, glyphs, labels, random:
                        seen.__setitem__(split, {glyph.tobytes() for glyph in glyphs}))
    make_digits(tmp_path)
    assert not seen['train'] & seen['val']
    assert len(seen['train']) > 1300 and len(seen['val']) > 400


def test_mmdet_reads_it(tmp_path):
    from mmdet.datasets import CocoDataset
    make_digits(tmp_path, train=4, val=2, size=96)
    dataset = CocoDataset(ann_file='instances_train.json', data_root=str(tmp_path), data_prefix=dict(img='train/'),
                          metainfo=dict(classes=CLASSES), pipeline=[])
    assert len(dataset) == 4 and len(dataset[0]['instances']) >= 1


def test_impossible_sizes_are_refused(tmp_path):
    with pytest.raises(ValueError, match='size 20'):
        make_digits(tmp_path, size=20)
