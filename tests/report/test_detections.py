"""Detections are worked out once for the same weights, data and settings."""
import copy
from types import SimpleNamespace

import pytest
import torch

from kddet.report.detections import detections
from kddet.report.truth import read_truth


class Step:
    """Finds one box in each picture."""

    def __init__(self, label=0):
        self.label, self.made = label, 0

    def __call__(self):
        self.made += 1
        return lambda batch: [SimpleNamespace(img_id=sample.img_id, pred_instances=torch_instances(self.label))
                              for sample in batch['data_samples']]


def torch_instances(label):
    from mmengine.structures import InstanceData
    return InstanceData(bboxes=torch.tensor([[1.5, 2, 11.5, 22]]), labels=torch.tensor([label]),
                        scores=torch.tensor([0.25]))


def test_once_and_anew_where_something_differs(plain_config, tmp_path):
    truth, step = read_truth(plain_config), Step()
    for name in 'ab':
        (tmp_path / f'{name}.pth').write_text(name)

    def ask(checkpoint='a.pth', loader=plain_config.val_dataloader, about='x'):
        return detections(step, truth, loader, str(tmp_path / checkpoint), about, tmp_path / 'cache')
    first = ask()
    assert first == [dict(image_id=picture, category_id=1, bbox=[1.5, 2, 10, 20], score=0.25)
                     for picture in truth.files]
    assert ask() == first and step.made == 1
    more_workers = dict(plain_config.val_dataloader, num_workers=3)
    assert ask(loader=more_workers) == first and step.made == 1
    other = copy.deepcopy(plain_config.val_dataloader)
    other.dataset.pipeline[1].scale = (64, 64)
    for change in (dict(checkpoint='b.pth'), dict(loader=other), dict(about='y')):
        before = step.made
        ask(**change)
        assert step.made == before + 1
    assert len(list((tmp_path / 'cache').iterdir())) == 4


def test_nothing_is_printed_and_what_takes_a_while_is_told(plain_config, tmp_path, capsys):
    (tmp_path / 'a.pth').write_text('a')
    told, truth = [], read_truth(plain_config)
    for _ in range(2):
        detections(Step(), truth, plain_config.val_dataloader, str(tmp_path / 'a.pth'), '', tmp_path, told.append)
    assert told == [True, False] and capsys.readouterr().out == ''


def test_a_label_beyond_the_classes_is_refused(plain_config, tmp_path):
    (tmp_path / 'a.pth').write_text('a')
    with pytest.raises(ValueError, match='finds class 10, and the data has 10 classes'):
        detections(Step(10), read_truth(plain_config), plain_config.val_dataloader, str(tmp_path / 'a.pth'), '',
                   tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ['a.pth']  # and nothing half done is left
