import json

import pytest
from mmdet.datasets import CocoDataset
from mmengine.dataset import ConcatDataset

from kddet.preflight.labels import label_lines


@pytest.fixture
def dataset(tmp_path):
    """A json file with categories cat, dog; classes as they are given."""
    file = tmp_path / 'labels.json'
    file.write_text(json.dumps(dict(
        images=[dict(id=0, file_name='0.jpg', height=8, width=8)],
        annotations=[dict(id=0, image_id=0, category_id=7, bbox=[1, 1, 4, 4], area=16, iscrowd=0)],
        categories=[dict(id=7, name='cat'), dict(id=9, name='dog')])))
    return lambda *classes: CocoDataset(ann_file=str(file), metainfo=dict(classes=classes), pipeline=[],
                                        data_prefix=dict(img=''))


def test_the_same_order_says_nothing(dataset):
    assert not label_lines(dataset('cat', 'dog')) and not label_lines(object())


def test_another_order_is_shown_with_what_the_host_makes_of_it(dataset):
    other = dataset('dog', 'cat')
    assert other.get_data_info(0)['instances'][0]['bbox_label'] == 0  # a cat, which metainfo calls a dog
    line, = label_lines(ConcatDataset([other]))
    assert line.verdict == 'note' and line.details[0] == 'label 0: cat in the data, dog in metainfo'
    assert 'in the order of the json file' in line.remedy


def test_fewer_classes_than_the_file_has(dataset):
    assert not label_lines(dataset('dog'))
