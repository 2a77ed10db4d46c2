import pytest
import torch
from attention_transfer import attention_loss
from mmengine.registry import init_default_scope

from kddet import Distiller
from kddet.testing import tiny_detector, toy_samples


def test_a_value_worked_out_by_hand():
    student = torch.tensor([[[[3., 0.]]]])  # squares 9 and 0: all attention on the first of two cells
    teacher = torch.tensor([[[[0., 1.]], [[0., 5.]]]])  # two channels: all of it on the second
    assert attention_loss(student, teacher) == 2


def test_scale_and_width_do_not_matter():
    feature = torch.rand(2, 4, 5, 5)
    assert attention_loss(feature, torch.cat([3 * feature, 3 * feature], 1)) < 1e-12


def test_one_cell_has_all_the_attention():
    assert attention_loss(torch.rand(1, 3, 1, 1), torch.rand(1, 3, 1, 1)) < 1e-12


def test_gradient():
    student, teacher = (torch.rand(2, 3, 2, 2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(lambda own: attention_loss(own, teacher), student)


def test_half_precision_is_computed_in_float32():
    assert attention_loss(torch.rand(1, 3, 2, 2).bfloat16(), torch.rand(1, 3, 2, 2).bfloat16()).dtype == torch.float32


def test_other_sizes_are_refused():
    with pytest.raises(ValueError, match='height and width must agree'):
        attention_loss(torch.rand(1, 3, 4, 4), torch.rand(1, 3, 2, 2))


@pytest.mark.parametrize('name', ['retinanet', 'faster-rcnn'])
def test_the_student_learns_and_the_teacher_does_not(name):
    init_default_scope('mmdet')
    model = Distiller(tiny_detector(name), dict(config=dict(model=tiny_detector(name, width=16)), checkpoint=None),
                      dict(attention=dict(type='kddet.AttentionTransfer'))).train()
    loss = model(**model.data_preprocessor(toy_samples(), True), mode='loss')['loss_attention']
    loss.backward()
    assert 0 < loss <= 2
    assert model.student.backbone.conv1.weight.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in model.teacher.parameters())
