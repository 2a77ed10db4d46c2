"""Attention transfer: where the student's features are strong, against where the teacher's are."""
from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from kddet import MODELS, DistillMethod, Records
from kddet.levels import pair_levels


def attention_loss(student: Tensor, teacher: Tensor) -> Tensor:
    r"""Compare the attention maps of two features: the mean of their squares over channels, of length 1.

    Zagoruyko and Komodakis, *Paying More Attention to Attention*, ICLR 2017 (arXiv:1612.03928), Sec. 3.1.

    .. math:: L = \frac{1}{N} \sum_n \lVert Q(S_n) - Q(T_n) \rVert^2, \quad
              Q(F) = q / \lVert q \rVert,\ q_{hw} = \frac{1}{C} \sum_c F_{chw}^2

    Args:
        student: ``(N, C, H, W)``.
        teacher: the same but for the channels, of which it may have any number; detached.

    Returns:
        A float32 scalar (float64 for float64 input), 0 to 2.
    """
    if student.shape[2:] != teacher.shape[2:]:
        raise ValueError(f'the student feature is {tuple(student.shape)}, the teacher feature {tuple(teacher.shape)}; '
                         'height and width must agree')
    return (attention(student) - attention(teacher.detach())).square().sum(1).mean()


def attention(feature: Tensor) -> Tensor:
    """``(N, C, H, W)`` to ``(N, H * W)``, each row of length 1."""
    if feature.dtype.itemsize < 4:
        feature = feature.float()
    return F.normalize(feature.square().mean(1).flatten(1), dim=1)


@MODELS.register_module()
class AttentionTransfer(DistillMethod):
    """The attention of every level that both models have, compared by :func:`attention_loss`.

    Args:
        tap: dotted name of what is compared.
        loss_weight: of the mean over the levels.
    """

    reads_labels = False  # so that pictures without labels may take part

    def __init__(self, tap: str = 'neck', loss_weight: float = 1.0) -> None:
        super().__init__(loss_weight)
        self.tap = tap
        self.student_taps = self.teacher_taps = (tap,)

    def build(self, student: Records, teacher: Records) -> None:
        self.pairs = pair_levels(student.pyramid(self.tap), teacher.pyramid(self.tap), None,
                                 f'attention of {self.tap!r}')

    def forward(self, student: Records, teacher: Records, samples: list) -> dict[str, Tensor]:
        own, other = student.pyramid(self.tap), teacher.pyramid(self.tap)
        losses = [attention_loss(own[s], other[t]) for s, t in self.pairs]
        return dict(loss=sum(losses) / len(losses))
