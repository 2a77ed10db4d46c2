"""What each distillation term does to the student, beside what the detection loss does: value, gradient, direction."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from mmengine.dist import all_gather_object, get_world_size
from torch import Tensor

from kddet.student_wrapper import random_state_kept

from .agreement import Agreement, agreement, buffers_kept, gradients
from .gradients import REENTRANT, nodes_of


@dataclass(frozen=True)
class TermReport:
    """One term in one iteration.

    Attributes:
        method: its key in the Distiller.
        term: key of what the method returns, ``'loss'`` or ``'loss_<term>'``.
        value: weighted, as it is trained.
        agreement: of its gradient with that of all the student's own losses together.
    """
    method: str
    term: str
    value: float
    agreement: Agreement

    @property
    def name(self) -> str:
        """As it is logged, without 'loss'."""
        return f'{self.method}{self.term[4:]}'.replace('loss', 'term')


class TermWatch:
    """Context manager: compares the terms of a Distiller in the training forwards inside it.

    The gradients are computed on the graph that the training goes on to use, which stays as it is: no second forward,
    nothing in ``.grad``, random numbers and buffers as before. In distributed training each process looks at its own
    batch, and all must enter together.

    Args:
        model: the Distiller, not its DDP wrapper.
        scale: of the loss, where it is scaled against underflow (AMP).
    """

    def __init__(self, model: Any, scale: float = 1.0) -> None:
        self.model, self.scale = model, scale
        self.reports: list[TermReport] = []
        self.obstacle = ''  # why there are none

    def __enter__(self) -> TermWatch:
        self._terms: dict[str, tuple[str, str]] = {}
        self._handles = [method.register_forward_hook(self._note(name)) for name, method in self.model.methods.items()]
        self._handles.append(self.model.register_forward_hook(self._compare))
        return self

    def __exit__(self, *exception) -> None:
        for handle in self._handles:
            handle.remove()

    def _note(self, name: str):
        def hook(method, args, terms):
            self._terms |= {f'loss_{name}{key[4:]}': (name, key) for key in terms if key.startswith('loss')}
        return hook

    def _compare(self, model: Any, args: tuple, losses: Any) -> None:
        if not (isinstance(losses, dict) and torch.is_grad_enabled()):
            return
        terms = {key: model.parse_losses({key: losses[key]})[0] for key in self._common(losses)}
        detection, _ = model.parse_losses({key: value for key, value in losses.items() if key not in self._terms})
        graphs = {key: list(nodes_of(loss)) for key, loss in [('', detection), *terms.items()]}
        if any(REENTRANT in node.name() for nodes in graphs.values() for node in nodes):
            self.obstacle = ('reentrant activation checkpointing does not give the gradient of one loss by itself; '
                             'with_cp=False does')
            return
        reached = {key: {node.variable for node in nodes if hasattr(node, 'variable')}
                   for key, nodes in graphs.items()}
        with torch.autocast(detection.device.type, enabled=False), random_state_kept(), buffers_kept(model):
            self.reports = self._reports(detection, terms, reached)

    def _common(self, losses: dict) -> list[str]:
        """Terms with a graph, on all processes: a backward may communicate (SyncBN), so all must do the same."""
        own = [key for key in self._terms if losses[key].requires_grad]
        return [key for key in own if all(key in other for other in all_gather_object(own))]

    def _reports(self, detection: Tensor, terms: dict[str, Tensor], reached: dict[str, set]) -> list[TermReport]:
        trained = [parameter for parameter in self.model.student.parameters() if parameter.requires_grad]
        theirs = gradients(detection, trained, self.scale)
        # with others, all go through the whole graph, whatever their batch has made of the term
        anchor = 0 * detection if get_world_size() > 1 else 0
        reports = []
        for key, term in terms.items():
            found = gradients(term + anchor, trained, self.scale)
            own = {parameter: value for parameter, value in found.items() if parameter in reached[key]}
            reports.append(TermReport(*self._terms[key], term.item(), agreement(own, theirs)))
        return reports
