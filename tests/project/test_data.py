import json
import re

import pytest
from torch.utils.data import DataLoader

from kddet.project.data import annotation_problem, check_loader

IMAGE = dict(id=1, file_name='a.jpg', width=8, height=8)
BOX = dict(image_id=1, category_id=1, bbox=[0, 0, 4, 4])
WHOLE = dict(images=[IMAGE], annotations=[BOX], categories=[dict(id=1, name='cat')])


@pytest.fixture
def problem(tmp_path):
    def problem(content, **options):
        path = tmp_path / 'a.json'
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return annotation_problem(dict(options, data_root=str(tmp_path), ann_file='a.json'))
    return problem


def test_right_annotations_have_no_problem(problem):
    assert problem(WHOLE, metainfo=dict(classes=('cat', 'dog')), filter_cfg=dict(filter_empty_gt=True)) is None
    assert problem(dict(WHOLE, annotations=[])) is None


@pytest.mark.parametrize(('content', 'options', 'said'), [
    ('{"images"', {}, 'are not json'),
    ([1], {}, 'this is a list'),
    (dict(a=1, b=2), {}, 'this has the keys a, b'),
    (dict(WHOLE, images=[]), {}, 'list no images'),
    (dict(WHOLE, images=[dict(IMAGE), dict(id=2)]), {}, r'images\[1\] has no file_name, width, height'),
    (WHOLE, dict(metainfo=dict(classes=('dog', ))), 'none of the classes dog of metainfo; they have cat'),
    (dict(WHOLE, annotations=[]), dict(filter_cfg=dict(filter_empty_gt=True)), 'no picture is left'),
])
def test_the_first_problem_is_named(problem, content, options, said):
    assert re.search(said, problem(content, **options))


def test_a_loader_without_batches_is_refused():
    with pytest.raises(ValueError, match='has no pictures; look at its ann_file'):
        check_loader(DataLoader([]), 'train_dataloader')
    with pytest.raises(ValueError, match='the 3 pictures of train_dataloader make no batch; lower batch_size .5'):
        check_loader(DataLoader([1, 2, 3], batch_size=5, drop_last=True), 'train_dataloader')
    check_loader(DataLoader([1, 2, 3]), 'train_dataloader')
