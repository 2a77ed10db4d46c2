import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from kddet import MODELS, Distiller, DistillMethod
from kddet.diagnostics.gradients import reaches
from kddet.errors import RunFailed
from kddet.testing import tiny_detector, training_step


def test_reaches_through_layers_and_not_past_a_detach():
    layer, adapter = nn.Linear(2, 2), nn.Linear(2, 2)
    feature = layer(torch.rand(1, 2))
    assert reaches(adapter(feature).sum(), layer.parameters())
    assert not reaches(adapter(feature.detach()).sum(), layer.parameters())
    assert not reaches(torch.zeros(()), layer.parameters())


@pytest.mark.parametrize('reentrant', [True, False])
def test_activation_checkpointing_is_no_wall(reentrant):
    layer = nn.Linear(2, 2)
    feature = checkpoint(layer, torch.rand(1, 2, requires_grad=True), use_reentrant=reentrant)
    assert reaches(feature.sum(), layer.parameters())


@MODELS.register_module(force=True)
class Detached(DistillMethod):
    student_taps = teacher_taps = ('neck',)

    def build(self, student, teacher):
        self.adapter = nn.Conv2d(16, 32, 1)

    def forward(self, student, teacher, samples):
        own, other = student.pyramid('neck')[0], teacher.pyramid('neck')[0]
        return dict(loss=(self.adapter(own.detach()) - other).square().mean())


def test_a_method_that_cannot_change_the_student_stops_the_run_by_name():
    model = Distiller(tiny_detector('retinanet'), dict(config=dict(model=tiny_detector('retinanet', 16)),
                                                       checkpoint=None), dict(mine=dict(type='kddet.Detached')))
    with pytest.raises(RunFailed, match="loss_mine has no gradient to any parameter"):
        training_step(model)


def test_a_hint_on_frozen_layers_alone_stops_the_run():
    student = tiny_detector('retinanet')
    student.backbone.frozen_stages = 1
    model = Distiller(student, dict(config=dict(model=tiny_detector('retinanet', 16)), checkpoint=None),
                      dict(hint=dict(type='kddet.HintLearning', tap='backbone.layer1')))
    with pytest.raises(RunFailed, match="loss_hint has no gradient"):
        training_step(model)


def test_every_term_is_looked_at_by_itself():
    """Classes and boxes reach the student, the hint on a frozen stage does not."""
    student = tiny_detector('retinanet')
    student.backbone.frozen_stages = 1
    model = Distiller(student, dict(config=dict(model=tiny_detector('retinanet', 16)), checkpoint=None), dict(
        chen=dict(type='kddet.Chen2017', hint=dict(tap='backbone.layer1'))))
    with pytest.raises(RunFailed, match='loss_chen_hint.* has no gradient'):
        training_step(model)


@MODELS.register_module(force=True)
class Constant(Detached):
    def forward(self, student, teacher, samples):
        return dict(loss=student.pyramid('neck')[0].new_zeros(()))


def test_a_constant_is_waited_for_and_then_stops_the_run():
    model = Distiller(tiny_detector('retinanet'), dict(config=dict(model=tiny_detector('retinanet', 16)),
                                                       checkpoint=None), dict(mine=dict(type='kddet.Constant')))
    for _ in range(19):
        model._check_gradient('mine', dict(loss=torch.zeros(())))
    with pytest.raises(RunFailed, match='loss_mine has no gradient'):
        training_step(model)


def test_what_is_never_on_has_no_gradient_at_all():
    """So that it has no part in the norm by which gradients are clipped."""
    model = Distiller(tiny_detector('retinanet'), dict(config=dict(model=tiny_detector('retinanet', 16)),
                                                       checkpoint=None), dict(hint=dict(type='kddet.HintLearning',
                                                                                        loss_weight=0.0)))
    training_step(model)
    assert list(model.methods.parameters()) and all(p.grad is None for p in model.methods.parameters())
