"""A teacher of other classes: what both have is compared, in any order, and nothing else."""
import copy

import pytest
import torch

from kddet import Distiller
from kddet.losses import adaptive_distillation_loss
from kddet.testing import tiny_detector, toy_samples, training_step

FAMILIES = ('retinanet', 'fcos', 'atss', 'gfl', 'faster-rcnn', 'cascade-rcnn')
METHODS = dict(adl=dict(type='kddet.AdaptiveDistillation'), soft=dict(type='kddet.WeightedClassification'),
               bounded=dict(type='kddet.TeacherBoundedRegression'))
SCORES = dict(retinanet='retina_cls', fcos='conv_cls', atss='atss_cls', gfl='gfl_cls')


def distiller(family, student_classes=3, teacher_classes=3, class_map=None, methods=METHODS):
    torch.manual_seed(0)
    model = Distiller(tiny_detector(family, num_classes=student_classes), dict(
        config=dict(model=tiny_detector(family, 16, num_classes=teacher_classes)), checkpoint=None,
        class_map=class_map), copy.deepcopy(methods))
    model.init_weights()
    return model


@torch.no_grad()
def permute(detector, family, order):
    """Reorder the classes of a detector's head: its new class i is the old order[i]."""
    if family not in SCORES:
        heads = detector.roi_head.bbox_head
        for head in heads if isinstance(heads, torch.nn.ModuleList) else [heads]:
            for parameter in (head.fc_cls.weight, head.fc_cls.bias):
                parameter.copy_(parameter[[*order, len(order)]])
            if not head.reg_class_agnostic:
                for parameter in (head.fc_reg.weight, head.fc_reg.bias):
                    parameter.copy_(parameter.reshape(len(order), 4, *parameter.shape[1:])[order].reshape_as(parameter))
        return
    layer = getattr(detector.bbox_head, SCORES[family])
    for parameter in (layer.weight, layer.bias):
        own = parameter.reshape(-1, len(order), *parameter.shape[1:])
        parameter.copy_(own[:, order].reshape_as(parameter))


@pytest.mark.parametrize('family', FAMILIES)
def test_a_teacher_with_its_classes_in_another_order_is_the_same_teacher(family):
    order = [2, 0, 1]
    expected, gradients = training_step(distiller(family))
    model = distiller(family, class_map=[(own, order.index(own)) for own in range(3)])
    permute(model.teacher.detector, family, order)
    found, own = training_step(model)
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-6, msg=lambda text, key=key: key + text)
    for key, value in gradients.items():
        torch.testing.assert_close(own[key], value, rtol=1e-3, atol=1e-5)


def test_eighty_classes_teach_three():
    """One of which the teacher does not know: it is left out, column by column."""
    model = distiller('fcos', 3, 80, [(0, 7), (2, 61)], dict(adl=METHODS['adl']))
    data = model.data_preprocessor(toy_samples(sizes=((128, 128), (128, 128))), True)
    reader, = model.methods['adl'].readers
    read, seen = reader.classification, []
    reader.classification = lambda *records: seen.append((*records, read(*records))) or seen[-1][2]
    loss = model.loss(data['inputs'], data['data_samples'])['loss_adl']
    (student, teacher, rows), = seen

    def columns(records, count, chosen):
        return torch.cat([level.permute(0, 2, 3, 1).reshape(-1, count)[:, chosen]
                          for level in records.pyramid('bbox_head', 0)])
    own, other = columns(student, 3, [0, 2]), columns(teacher, 80, [7, 61])
    assert torch.equal(rows.student, own) and torch.equal(rows.teacher, other)
    assert loss.item() == pytest.approx(adaptive_distillation_loss(own, other).item(), rel=1e-4)
    assert set(rows.labels.unique().tolist()) <= {0, 1, 2}


@pytest.mark.parametrize('family', ['faster-rcnn', 'cascade-rcnn'])
def test_rois_of_classes_without_a_partner_are_left_out(family):
    model = distiller(family, 3, 5, [(1, 4)])
    model.train()
    readers = [reader for reader in model.methods['soft'].readers if reader.name == 'roi']
    seen = []
    for reader in readers:
        def classification(*records, read=reader.classification, reader=reader):
            labels = records[0][f'{reader.tap}.loss_cls'][0].args[1]
            seen.append((read(*records), labels))
            return seen[-1][0]
        reader.classification = classification
    log, _ = training_step(model)
    assert all(value.isfinite().all() for value in log.values())
    assert seen
    for rows, labels in seen:
        assert rows.student.shape == rows.teacher.shape == (len(labels), 2)
        left_out = (labels == 0) | (labels == 2)
        assert left_out.any() and (rows.weights[left_out] == 0).all() and (rows.weights[~left_out] > 0).all()
        assert (rows.labels[labels == 1] == 0).all() and (rows.labels[labels == 3] == 1).all()


@pytest.mark.parametrize('family', FAMILIES)
def test_boxes_of_classes_that_the_teacher_does_not_have_are_left_out(family):
    model = distiller(family, 3, 5, [(1, 4)], dict(bounded=METHODS['bounded']))
    data = model.data_preprocessor(toy_samples(), True)
    readers = [reader for reader in model.methods['bounded'].readers if reader.name != 'rpn']
    seen = []
    for reader in readers:
        def regression(*records, read=reader.regression, reader=reader):
            labels = torch.cat([call.args[1][0] if isinstance(call.args[1], tuple) else call.args[1]
                                for call in records[0][f'{reader.tap}.loss_cls']])
            seen.append((read(*records), labels[reader.positives(labels)]))
            return seen[-1][0]
        reader.regression = regression
    model.train().loss(data['inputs'], data['data_samples'])
    assert seen
    for rows, labels in seen:
        assert (rows.weights[labels != 1] == 0).all() and (labels != 1).any()
        assert (rows.weights[labels == 1] > 0).any() or not (labels == 1).any()


def test_features_never_care():
    hint = dict(hint=dict(type='kddet.HintLearning'))
    assert training_step(distiller('retinanet', 3, 80, methods=hint))[0]['loss_hint'] > 0


@pytest.mark.parametrize(('class_map', 'message'), [
    ([(0, 80)], r'class_map has \[\(0, 80\)\], and bbox_head of the student has classes 0 to 2, .* 0 to 79'),
    ([(0, 1), (0, 2)], 'give one pair or more, and no class twice'),
    ([], 'give one pair or more'), ('auto', 'goes by the names of classes, which tools/train.py looks up'),
    (None, 'bbox_head of the student has 3 classes, that of the teacher 80; .* or with a class_map'),
])
def test_refuses(class_map, message):
    with pytest.raises(ValueError, match=message):
        distiller('retinanet', 3, 80, class_map)
