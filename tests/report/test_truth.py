"""What is to be found is what the host's metric compares with."""
import copy

import pytest

from kddet.report.truth import read_truth


def test_objects_of_the_file_and_of_the_data_set_are_the_same(plain_config):
    with_file = read_truth(plain_config)
    cfg = copy.deepcopy(plain_config)
    cfg.val_evaluator = dict(type='VOCMetric')
    without = read_truth(cfg)
    assert with_file.files == without.files and len(with_file.files) == 4
    assert with_file.counts() == without.counts() and sum(with_file.counts().values()) >= 4

    def boxes(truth):
        return sorted((each['image_id'], *each['bbox']) for each in truth.objects.dataset['annotations'])
    assert boxes(with_file) == [pytest.approx(box) for box in boxes(without)]


def test_pictures_that_are_not_validated_on_do_not_count(plain_config):
    cfg = copy.deepcopy(plain_config)
    cfg.val_dataloader.dataset.indices = 2
    part, whole = read_truth(cfg), read_truth(plain_config)
    assert len(part.files) == 2 and 0 < sum(part.counts().values()) < sum(whole.counts().values())


def test_refuses(plain_config):
    cfg = copy.deepcopy(plain_config)
    cfg.val_evaluator.ann_file = 'gone.json'
    with pytest.raises(FileNotFoundError, match='gone.json.*where the training was started'):
        read_truth(cfg)
    cfg.val_dataloader = None
    with pytest.raises(ValueError, match='no val_dataloader'):
        read_truth(cfg)
