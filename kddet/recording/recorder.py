"""Read what named submodules of a detector took in and gave out during one forward."""
from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .strides import strides_of
from .taps import INPUT, module_of, parse_tap

PROBE_SIZE = 256  # pixels of the probe image's sides; every stride up to 128 gives a map of its own size
Pyramid = tuple[Tensor, ...]
ClassMap = tuple[tuple[int, int], ...]  # (student's index, teacher's index) of the classes that both have


@dataclass(frozen=True)
class Call:
    """One call of a tapped submodule."""
    args: tuple
    kwargs: dict
    output: Any
    versions: tuple[int, ...]  # of the tapped tensors, to see a later in-place operation


class Records(Mapping):
    """What was recorded: ``records[tap]`` is the tuple of :class:`Call`, in order of execution."""

    def __init__(self, taps, owner: str = 'model') -> None:
        self._calls: dict[str, list[Call]] = {tap: [] for tap in taps}
        self._owner = owner
        self.features: Pyramid | None = None  # what the heads read, where a RoI head is to run on it later
        self.class_map: ClassMap | None = None  # of the teacher: which of its classes are which of the student's
        self.unlabelled = 0  # images at the end of the batch that the student's own losses did not see
        self.image_size = PROBE_SIZE, PROBE_SIZE  # (height, width) in the student's pixels, of a probe
        self.anchor_strides: Sequence[float] = ()  # of the model, in the same pixels

    def add(self, tap: str, call: Call) -> None:
        self._calls[tap].append(call)

    def __getitem__(self, tap: str) -> tuple[Call, ...]:
        if tap not in self._calls:
            raise ValueError(f'tap {tap!r} of the {self._owner} is read but was not asked for; a method names its taps '
                             f'in student_taps and teacher_taps (recorded: {", ".join(self._calls) or "none"})')
        return tuple(self._calls[tap])

    def __iter__(self) -> Iterator[str]:
        return iter(self._calls)

    def __len__(self) -> int:
        return len(self._calls)

    def pyramid(self, tap: str, item: int | None = None) -> Pyramid:
        """The tensors of a tap, one a level.

        One call that returns five levels (``neck``) and five calls that return one level each
        (``bbox_head.cls_convs.3``) give the same ``tuple`` of five ``(N, C, H, W)``.

        Args:
            tap: dotted name of a submodule for what it gave; ``name:input`` for what it took, its first argument.
            item: which element to take of a submodule that returns several pyramids, as a dense head does.
        """
        if not self[tap]:
            raise RuntimeError(f'tap {tap!r} is in the {self._owner} but was not called in this forward')
        outputs = self.values_of(tap)
        if item is not None:
            outputs = [output[item] for output in outputs]
        levels = outputs[0] if len(outputs) == 1 and isinstance(outputs[0], (tuple, list)) else outputs
        if not all(isinstance(level, Tensor) for level in levels):
            raise TypeError(f'tap {tap!r} of the {self._owner} gives {_kind(outputs[0])} a call, a pyramid has one '
                            'tensor a level; tap a module deeper inside')
        return tuple(levels)

    def strides(self, tap: str) -> list[float | None]:
        """The stride of each level of a probe's pyramid, in pixels of the student's image; None of vectors."""
        return strides_of(self.pyramid(tap), self.image_size, self.anchor_strides)

    def tensors(self) -> Iterator[Tensor]:
        """Everything that was tapped, in order."""
        for tap in self:
            yield from tensors_in(self.values_of(tap))

    def values_of(self, tap: str) -> list[Any]:
        """What was tapped, one a call; refused where it was overwritten in place since."""
        return [self._unchanged(tap, call) for call in self[tap]]

    def of_taps(self, taps: Iterable[str]) -> Records:
        """The same records, of some taps alone."""
        part = Records(taps, self._owner)
        for tap in part:
            part._calls[tap] = list(self[tap])
        part.features, part.class_map, part.unlabelled = self.features, self.class_map, self.unlabelled
        part.image_size, part.anchor_strides = self.image_size, self.anchor_strides
        return part

    def extend(self, other: Records) -> None:
        """Append the calls of another forward of the same model."""
        for tap, calls in other._calls.items():
            self._calls[tap].extend(calls)

    def replace(self, function: Callable[[Any], Any]) -> None:
        """Put ``function(value)`` in the place of what every tap holds of each call."""
        for tap, calls in self._calls.items():
            self._calls[tap] = [call_of(tap, function(self._unchanged(tap, call))) for call in calls]

    def append_unlabelled(self, other: Records, count: int) -> None:
        """Append images that were forwarded without labels to the batch of every tap that they came by.

        Args:
            other: of the same model, in whose forward no loss was called.
            count: how many images they are.
        """
        self.unlabelled = count
        for tap, calls in self._calls.items():
            if other[tap]:
                self._calls[tap] = [call_of(tap, _concatenated(self._unchanged(tap, own), other._unchanged(tap, more)))
                                    for own, more in zip(calls, other[tap], strict=True)]

    def _unchanged(self, tap: str, call: Call) -> Any:
        value = _value(tap, call.args, call.output)
        if _versions(value) != call.versions:
            raise RuntimeError(f'the output of tap {tap!r} of the {self._owner} was overwritten in place after it was '
                               f'recorded (an in-place activation follows); to read the data after the activation tap '
                               f'its parent {tap.rpartition(".")[0]!r}, or the input of what comes next '
                               f"('<submodule>{INPUT}')")
        return value


class Recorder:
    """Context manager that records the calls of ``taps`` in ``model``; no hook is left behind.

    Taps are resolved by name on entry, so modules that were replaced since (SyncBN conversion) are found.

    Args:
        model: the detector whose submodules are tapped.
        taps: dotted names of submodules, relative to the model, for what they give; ``name:input`` for what they take;
            or words of detection such as ``neck.P3`` (:func:`kddet.recording.taps.parse_tap`).
        owner: what to call the model in messages, ``'student'`` or ``'teacher'``.
        arguments: keep what the submodules take in, too, which holds the layers before them in memory.

    Example:
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU())
        >>> with Recorder(model, ['1']) as records:
        ...     out = model(torch.rand(1, 3, 4, 4))
        >>> records.pyramid('1')[0].shape
        torch.Size([1, 8, 4, 4])
    """

    def __init__(self, model: nn.Module, taps, owner: str = 'model', arguments: bool = True) -> None:
        self._modules = {tap: resolve_tap(model, tap, owner) for tap in dict.fromkeys(taps)}
        self._owner, self._model, self._arguments = owner, model, arguments
        self._size: tuple[int, int] | None = None  # of the image that went through the backbone

    def __enter__(self) -> Records:
        records = Records(self._modules, self._owner)
        self._grad_enabled = torch.is_grad_enabled()
        self._handles = [module.register_forward_hook(self._hook(records, tap), with_kwargs=True)
                         for tap, module in self._modules.items()]
        if any(parse_tap(tap).level is not None for tap in self._modules):
            sees_images: nn.Module = getattr(self._model, 'backbone', self._model)
            self._handles.append(sees_images.register_forward_pre_hook(self._see_size))
        return records

    def __exit__(self, *exception) -> None:
        for handle in self._handles:
            handle.remove()

    def _see_size(self, module: nn.Module, args: tuple) -> None:
        self._size = tuple(args[0].shape[2:])  # type: ignore[assignment]

    def _hook(self, records: Records, tap: str):
        select = parse_tap(tap).select
        kind = type(self._model).__name__

        def hook(module, args, kwargs, output):
            if self._grad_enabled and not torch.is_grad_enabled():
                raise RuntimeError(f'tap {tap!r} of the {self._owner} runs inside reentrant activation checkpointing, '
                                   'where it carries no gradient; tap a module outside the checkpointed block, or set '
                                   'with_cp=False')
            output = select(output, self._size, tap, self._owner, kind)
            value = _value(tap, args, output)
            records.add(tap, Call(args, kwargs, output, _versions(value)) if self._arguments else call_of(tap, value))
        return hook


def resolve_tap(model: nn.Module, tap: str, owner: str = 'model') -> nn.Module:
    """The submodule called ``tap``, or a ValueError that lists what is there."""
    name = module_of(tap)
    try:
        module = model.get_submodule(name)
    except AttributeError:
        module = model
    if module is model:
        raise ValueError(_not_there(model, name, tap, owner))
    if is_list(module):
        count = len(list(module.children()))
        raise ValueError(f'tap {tap!r} of the {owner} ({type(model).__name__}) is a list of {count} modules, which are '
                         f'called one by one: tap {name}.0 or another')
    return module


def _not_there(model: nn.Module, name: str, tap: str, owner: str) -> str:
    modules = dict(model.named_modules())
    parent = name
    while parent not in modules:
        parent = parent.rpartition('.')[0]
    children = [name for name, _ in modules[parent].named_children()]
    near = difflib.get_close_matches(name, modules, n=3, cutoff=0.8)
    return (f'tap {tap!r} is not in the {owner} ({type(model).__name__}); '
            f'{parent or "it"} has {", ".join(children) or "no submodules"}'
            + (f'; near matches: {", ".join(near)}' if near else '')
            + '; tools/inspect_model.py lists what can be tapped')


def is_list(module: nn.Module) -> bool:
    """Whether a module only holds others, which are called one by one."""
    return isinstance(module, (nn.ModuleList, nn.ModuleDict)) and type(module).forward is nn.Module.forward


def _value(tap: str, args: tuple, output: Any) -> Any:
    return args[0] if tap.endswith(INPUT) else output


def call_of(tap: str, value: Any) -> Call:
    """A call of which no more is known than what was tapped."""
    taken, given = ((value,), None) if tap.endswith(INPUT) else ((), value)
    return Call(taken, {}, given, _versions(value))


def _concatenated(own: Any, more: Any) -> Any:
    if isinstance(own, Tensor):
        return torch.cat([own, more])
    if isinstance(own, (tuple, list)):
        return tuple(_concatenated(*pair) for pair in zip(own, more, strict=True))
    return own


def _versions(value: Any) -> tuple[int, ...]:
    return tuple(tensor._version for tensor in tensors_in(value) if not tensor.is_inference())


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Of what a submodule took or gave, tuples and lists of any depth, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from tensors_in(item)


def _kind(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return f'a {type(value).__name__} of {len(value)} ({", ".join(type(item).__name__ for item in value)})'
    return f'a {type(value).__name__}'
