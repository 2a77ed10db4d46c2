import copy

import pytest
import torch

from kddet import Distiller, UnlabelledDataset
from kddet.project.config import data_sources, load_config, student_config
from kddet.testing import tiny_detector, toy_samples
from kddet.testing import training_step as step
from kddet.unlabelled import check_unlabelled_data

SIZES = ((128, 128), (128, 128))


def distiller(family='fcos', method='AdaptiveDistillation', **options):
    """In which batch norm keeps its statistics, so that images do not change each other."""
    torch.manual_seed(0)
    student = tiny_detector(family)
    student.backbone.update(norm_eval=True)
    model = Distiller(student, dict(config=dict(model=tiny_detector(family, 16)), checkpoint=None),
                      dict(term=dict(type=f'kddet.{method}', **options)))
    model.init_weights()
    return model


def batch(unlabelled=(), boxes=None):
    samples = toy_samples(sizes=SIZES, **(dict(boxes=boxes) if boxes else {}))
    for index in unlabelled:
        samples['data_samples'][index].set_metainfo(dict(use_hard_loss=False))
    return samples


def own_losses(log):
    return {key: value for key, value in log.items() if 'term' not in key and key != 'loss'}


@pytest.mark.parametrize('unlabelled', [0, 1])
def test_the_students_own_losses_are_those_of_the_labelled_images_alone(unlabelled):
    both = batch([unlabelled])
    alone = {key: [value[1 - unlabelled]] for key, value in copy.deepcopy(both).items()}
    expected, log = own_losses(step(distiller(), alone)[0]), step(distiller(), both)[0]
    assert expected and all(log[key].item() == pytest.approx(value.item(), rel=1e-5) for key, value in expected.items())


@pytest.mark.parametrize('family', ['retinanet', 'fcos', 'atss', 'gfl'])
def test_boxes_of_unlabelled_images_change_nothing(family):
    """Poisoned: boxes that must not be seen."""
    own = [[8, 8, 40, 56], [50, 30, 110, 90]]
    log, gradients = step(distiller(family), batch([1], [own, []]))
    poisoned, others = step(distiller(family), batch([1], [own, [[0, 0, 128, 128], [5, 5, 60, 60]]]))
    assert all(torch.equal(log[key], poisoned[key]) for key in log)
    assert all(torch.equal(gradients[key], others[key]) for key in gradients)
    assert log['loss_term'] > 0


@pytest.mark.parametrize('method', ['AdaptiveDistillation', 'HintLearning'])
@pytest.mark.parametrize('unlabelled', [0, 1])
def test_terms_are_those_of_the_whole_batch(method, unlabelled):
    """FCOS ignores no point, so its scores are compared alike with labels and without."""
    log, part = step(distiller(method=method), batch())[0], step(distiller(method=method), batch([unlabelled]))[0]
    assert part['loss_term'].item() == pytest.approx(log['loss_term'].item(), rel=1e-5)


def test_rows_of_the_labelled_images_keep_what_they_were_assigned():
    """RetinaNet ignores anchors: those of the labelled image are ignored still, and none of the unlabelled one."""
    model = distiller('retinanet')
    reader, = model.methods['term'].readers
    read, seen = reader.classification, []
    reader.classification = lambda *records: seen.append(read(*records)) or seen[-1]
    step(model, batch())
    step(model, batch([1]))
    labelled, part = seen
    levels = [3 * 3 * (128 // stride) ** 2 for stride in (8, 16, 32, 64, 128)]  # anchors an image
    halves = [[rows.split([count for level in levels for count in (level, level)]) for rows in (s.labels, s.weights)]
              for s in (labelled, part)]
    for own, other in zip(*halves):
        assert all(torch.equal(a, b) for a, b in zip(own[::2], other[::2]))
    assert all((labels == 3).all() for labels in halves[1][0][1::2])
    assert all((weights == 1).all() for weights in halves[1][1][1::2])
    assert any((weights == 0).any() for weights in halves[0][1][1::2])
    assert torch.allclose(part.student, labelled.student, atol=1e-5)


def test_refuses_the_rpn():
    with pytest.raises(ValueError, match='rpn_head samples its anchors by labels'):
        step(distiller('faster-rcnn', heads=['rpn']), batch([1]))


def test_hints_on_a_two_stage_detector():
    log, _ = step(distiller('faster-rcnn', 'HintLearning'), batch([1]))
    assert log['loss_term'] > 0


@pytest.mark.parametrize(('family', 'method', 'unlabelled', 'message'), [
    ('retinanet', 'FineGrainedImitation', [1], "'term' .* reads the labels of every image"),
    ('faster-rcnn', 'AdaptiveDistillation', [1], 'reads the RoI head, which samples by labels'),
    ('retinanet', 'AdaptiveDistillation', [0, 1], 'none of the 2 images of a batch is labelled'),
])
def test_refuses(family, method, unlabelled, message):
    with pytest.raises(ValueError, match=message):
        step(distiller(family, method), batch(unlabelled))


def test_a_plain_detector_is_not_trained_on_them(repository):
    """To which they would be empty images."""
    cfg = load_config(repository / 'configs/quick/adl-semi_quick.py')
    check_unlabelled_data(cfg)
    with pytest.raises(ValueError, match="'instances_train.json' is read with use_hard_loss=False, and a RetinaNet"):
        check_unlabelled_data(student_config(cfg))
    plain = student_config(cfg)
    for source in data_sources(plain.train_dataloader.dataset):  # as configs in pure Python style have it
        if source.type == 'kddet.UnlabelledDataset':
            source.type = UnlabelledDataset
    with pytest.raises(ValueError, match='would train its images as empty ones'):
        check_unlabelled_data(plain)
    cfg.model.type = Distiller
    check_unlabelled_data(cfg)
    check_unlabelled_data(load_config(repository / 'configs/digits/retinanet_r18-quarter_fpn_500i_digits-semi.py'))
