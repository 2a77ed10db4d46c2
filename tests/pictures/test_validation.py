import copy
import json
import shutil

import numpy as np
import pytest
from mmengine.config import Config

from kddet.pictures.validation import given_pictures, validation_pictures


def boxes_of(folder, name):
    content = json.loads((folder / 'instances_val.json').read_text())
    (image,) = [image for image in content['images'] if image['file_name'] == name]
    own = [a for a in content['annotations'] if a['image_id'] == image['id']]
    return np.array([[x, y, x + w, y + h] for x, y, w, h in (a['bbox'] for a in own)]), [
        a['category_id'] - 1 for a in own]


def test_ground_truth_of_the_first_pictures(plain_config, digits, capsys):
    pictures = validation_pictures(plain_config, 3)
    assert len(pictures) == 3 and len(validation_pictures(plain_config, 100)) == 4
    for path, truth in pictures:
        boxes, labels = boxes_of(digits, path.rpartition('/')[2])
        np.testing.assert_allclose(truth.bboxes, boxes)
        assert truth.labels.tolist() == labels
    assert capsys.readouterr().out == ''


def test_files_have_theirs_where_they_belong_to_the_data(plain_config, digits, tmp_path):
    own = sorted((digits / 'val').glob('*.jpg'))[1]
    shutil.copy(own, tmp_path / 'other.jpg')
    (tmp_path / 'link.jpg').symlink_to(own)
    known, other = given_pictures(plain_config, [str(tmp_path / 'link.jpg'), str(tmp_path / 'other.jpg')])
    np.testing.assert_allclose(known.truth.bboxes, boxes_of(digits, own.name)[0])
    assert other.truth is None
    cfg = copy.deepcopy(plain_config)
    cfg.val_dataloader.dataset.ann_file = 'gone.json'
    assert given_pictures(cfg, [str(own)])[0].truth is None
    with pytest.raises(FileNotFoundError, match='image gone.jpg, lost.jpg does not exist'):
        given_pictures(cfg, ['gone.jpg', str(own), 'lost.jpg'])


def test_a_config_without_data():
    with pytest.raises(ValueError, match='neither a val_dataloader nor a test_dataloader'):
        validation_pictures(Config(dict(model=dict())), 1)
