import copy

import pytest
import torch
from mmengine.config import Config

from kddet.pictures.inference import TrainedDetector, names_as_taught
from kddet.project.config import load_config


def test_detections_in_pixels_of_the_picture(plain_config, teacher_files, digits):
    """Which is resized for the network."""
    path = str(sorted((digits / 'val').glob('*.jpg'))[0])
    detector = TrainedDetector(load_config(teacher_files[0]), teacher_files[1])
    found = detector.find(path, 0.0)
    assert len(found) and found.bboxes.max() <= 96 and detector.classes[:2] == ('zero', 'one')
    score = float(found.scores.median())
    assert len(detector.find(path, score)) == int((found.scores >= score).sum()) < len(found)
    bare = Config(dict(model=detector.detector.cfg.model))  # a teacher's config may have no data
    again = TrainedDetector(bare, teacher_files[1], pipeline_of=plain_config).find(path, 0.0)
    assert torch.equal(again.bboxes, found.bboxes)
    with pytest.raises(ValueError, match='has no test_dataloader'):
        TrainedDetector(bare, teacher_files[1])


def test_a_distillation_config_stands_for_its_student(distilled_config, plain_config, tmp_path):
    from mmengine.registry import MODELS
    cfg = copy.deepcopy(distilled_config)
    cfg.model.teacher.update(config='gone.py', checkpoint='gone.pth')
    weights = MODELS.build(copy.deepcopy(plain_config.model)).state_dict()
    torch.save(dict(state_dict={**weights, 'distiller.methods.hint.x': torch.ones(1)}), tmp_path / 'own.pth')
    assert type(TrainedDetector(cfg, str(tmp_path / 'own.pth')).detector).__name__ == 'RetinaNet'


def test_classes_of_a_teacher_have_the_names_that_they_stand_for(distilled_config):
    cfg = copy.deepcopy(distilled_config)
    assert names_as_taught(cfg, '', ('zero', 'one')) == ('zero', 'one')  # the same lists
    cfg.model.teacher.class_map = [[3, 0], [5, 1]]
    assert names_as_taught(cfg, '', ('drei', 'fuenf', 'cow')) == ('three', 'five', 'cow')
    assert names_as_taught(cfg, '', None) is None
