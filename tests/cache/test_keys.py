import copy

import pytest
import torch
from mmdet.structures import DetDataSample

from kddet.cache.keys import autocast_precision, picture_key, weights_digest


def sample(**meta):
    found = DetDataSample()
    meta = dict(dict(img_id=3, img_path='a/3.jpg', ori_shape=(50, 70), img_shape=(60, 84), scale_factor=(1.2, 1.2)),
                **meta)
    found.set_metainfo({key: value for key, value in meta.items() if value is not None})
    return found


def key(shape=(64, 96), flip=None, precision='full', **meta):
    return picture_key(sample(**meta), shape, flip, precision)


@pytest.mark.parametrize('changes', [
    dict(shape=(64, 128)), dict(flip='horizontal'), dict(flip='vertical'), dict(precision='torch.bfloat16'),
    dict(img_id=4), dict(img_path='b/3.jpg'), dict(img_shape=(60, 83)), dict(scale_factor=(1.2, 1.1999999)),
    dict(ori_shape=(50, 71))], ids=str)
def test_everything_that_changes_the_pixels_changes_the_key(changes):
    """Another folder too: two data sources may count their pictures alike."""
    assert key() == key() and key() != key(**changes)


def test_a_picture_without_a_name_is_refused():
    with pytest.raises(ValueError, match='neither img_path nor img_id .it has img_shape, ori_shape, scale_factor.'):
        picture_key(sample(img_path=None, img_id=None), (64, 96), None, 'full')


def test_a_file_that_was_written_anew_is_another_picture(tmp_path):
    path = tmp_path / '3.jpg'
    path.write_bytes(b'first')
    before = key(img_path=str(path))
    assert before == key(img_path=str(path))
    path.write_bytes(b'second')
    assert key(img_path=str(path)) != before


def test_weights_are_known_by_all_of_them():
    weights = {'a': torch.rand(3), 'b': torch.rand(2, 2, dtype=torch.float64)}
    digest = weights_digest(weights)
    assert digest == weights_digest(dict(reversed(weights.items())))
    changed = copy.deepcopy(weights)
    changed['b'][0, 0] += 1e-12
    assert digest != weights_digest(changed)
    assert digest != weights_digest(dict(weights, a=weights['a'].half().float()))


def test_precision_of_autocast():
    assert autocast_precision(torch.device('cpu')) == 'full'
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert autocast_precision(torch.device('cpu')) == 'torch.bfloat16'
