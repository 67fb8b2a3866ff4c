"""Runs the PyTorch reference and captures every module call and every functional step.

Nothing here changes what the reference computes: hooks and the function mode only copy, and
`torch.exp` has the last places of every processor. With `forced` inputs, and only then, a step or a
module is fed with them in place of its own.
"""

from __future__ import annotations

import copy
import inspect
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.utils.parametrize import is_parametrized, type_before_parametrizations
from torch.overrides import TorchFunctionMode

from parity.core.capture.influence import without_influence
from parity.core.capture.operations import (
    Copies,
    Group,
    copied,
    is_query,
    narrow_tensor,
    rounded,
    tensors_in,
)
from parity.core.capture.progress import counted, say
from parity.core.capture.statements import environment, source_of, statement_at, where
from parity.core.compare import relative_l2_where_finite
from parity.core.events import PARTS, TENSOR, Event, Expected, Key
from parity.core.machine import mkl
from parity.core.result import ParityError
from parity.core.seeding import seeded_random
from parity.core.subject import Fused, Subject

Array = npt.NDArray[Any]
Call = tuple[str, str]  # module path, class name
_CORE = str(Path(__file__).parents[1])
_BETWEEN = mkl.__file__  # stands between the reference and what it calls


@mkl.common_exponential()
def capture(subject: Subject, module: torch.nn.Module, mix: Array | tuple[Array, ...]) -> Expected:
    """Run a reference module on `mix` in float64 and capture everything, floors included.

    Args:
        subject: what is known of the reference.
        module: any module; neither it nor its mode is changed.
        mix: what it is called with: a tensor of any shape, of numbers or whole numbers, or a tuple
            of several. Rounded to float32 beforehand, so that both precisions hear the same.

    Raises:
        ParityError: the module returns no tensor, or one inside of it takes a list of them.

    Reference runs: one whole pass in float64, one in float32, and one call of every module and
    every functional step in float32 on its own float64 input, rounded: steps and leaves during a
    pass, other modules one by one.
    """
    narrow_mix = [rounded(array) for array in (mix if isinstance(mix, tuple) else (mix,))]
    wide_mix = [_widened(array) for array in narrow_mix]
    wide, narrow = (copy.deepcopy(module).eval().to(t) for t in (torch.float64, torch.float32))
    tracer = Tracer(subject, wide)
    say("reference: pass in float64")
    events = tracer.run(*wide_mix)
    by_key = {event.key: event for event in events}

    def note_whole(event: Event) -> None:
        by_key[event.key].cumulative_floors = _floors(event.outputs, by_key[event.key].outputs)

    def is_fed(event: Event) -> bool:
        if event.kind == "tap":
            return True
        takes_tensors = event.arguments is None and event.key not in tracer.keywords
        return event.path != "" and takes_tensors and _is_leaf(narrow.get_submodule(event.path))

    def note_fed(event: Event) -> None:
        if event.key in forced:
            by_key[event.key].isolated_floors = _floors(event.outputs, by_key[event.key].outputs)

    say("reference: pass in float32")
    Tracer(subject, narrow, sink=note_whole).run(*narrow_mix)
    forced = {event.key: event.inputs for event in events if is_fed(event)}
    say("reference: steps and leaves in float32")
    Tracer(subject, narrow, forced, note_fed).run(*narrow_mix)
    called = {event.path for event in events}
    state = {key: value.detach().cpu().numpy() for key, value in module.state_dict().items()}

    def call(layer: torch.nn.Module, event: Event) -> list[Array]:
        return _call_alone(layer, event, tracer.keywords.get(event.key, {}))

    for event in counted(events, "reference: alone in float32, call"):
        if event.key not in forced:
            alone = call(narrow.get_submodule(event.path), event)
            event.isolated_floors = _floors(alone, event.outputs)
    return Expected(
        reference=f"{type(module).__module__}.{type(module).__qualname__}",
        mix=wide_mix[0],
        events=events,
        state=state,
        buffers=tuple(name for name, _ in module.named_buffers() if name in state),
        leaves=tuple(
            name
            for name, sub in _modules(module)
            if _is_leaf(sub) and (name in called or not _is_never_called(subject, module, name))
        ),
        idle=without_influence(subject, narrow, events, call),
        unmapped=tuple(sorted(tracer.unmapped)),
        environment=environment(subject.distributions),
        arguments=subject.arguments(module),
    )


class Tracer(TorchFunctionMode):
    """Records module calls through hooks, functional steps through torch's function mode.

    Args:
        subject: what is known of the reference.
        module: what runs.
        forced: inputs that functional steps and modules get in place of their own, rounded to
            float32.
        sink: takes each event as it ends, to look at its outputs at once: nothing is copied; None
            to keep copies of all and return them from `run`.

    `parity.core.backward` traces with gradients: what it changes is in methods of their own.
    """

    GRADIENTS = False

    def __init__(
        self,
        subject: Subject,
        module: torch.nn.Module,
        forced: Mapping[Key, Sequence[Array]] | None = None,
        sink: Callable[[Event], None] | None = None,
    ) -> None:
        super().__init__()
        self.module = module
        self._subject = subject
        self._fused = subject.fused()
        self.forced = forced
        self.events: list[Event] = []
        self._sink = self.events.append if sink is None else sink
        self._noted = Copies(kept=sink is None)
        self.unmapped: set[str] = set()
        self.keywords: dict[Key, dict[str, Any]] = {}
        self._stack: list[tuple[Call, list[Array]]] = []
        self._calls: Counter[str] = Counter()
        self._group: Group | None = None

    def run(self, *mix: Array) -> list[Event]:
        """One forward pass on `mix`; the calls, in the order they ended."""
        tensors = [torch.from_numpy(array.copy()) for array in mix]
        numbers = [t for t in (*self.module.parameters(), *tensors) if t.is_floating_point()]
        self._noted.dtype = numbers[0].dtype if numbers else self._noted.dtype
        with ExitStack() as stack:
            for path, module in _modules(self.module):
                handles = (
                    module.register_forward_pre_hook(self._enter(path), with_kwargs=True),
                    module.register_forward_hook(
                        self._leave(path), always_call=False, with_kwargs=True
                    ),
                )
                for handle in handles:
                    stack.callback(handle.remove)
            stack.enter_context(torch.set_grad_enabled(self.GRADIENTS))
            stack.enter_context(seeded_random())
            self._forward(tensors)
        return self.events

    def _forward(self, tensors: list[torch.Tensor]) -> None:
        with self:
            self.module(*tensors)

    def _enter(self, path: str) -> Any:
        def hook(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            self._close_group()
            forced = self._forced(path)
            if forced is not None:
                args = tuple(map(narrow_tensor, forced))
            for value in (*args, *kwargs.values()):
                if not isinstance(value, torch.Tensor) and tensors_in(value):
                    raise ParityError(
                        f"{path or '(model)'}: a {type(value).__name__} of tensors is an argument; "
                        "only modules that take each tensor as an argument of its own can be fed."
                    )
            self._stack.append(((path, _class(module)), self._copies((args, kwargs))))
            return args, kwargs

        return hook

    def _leave(self, path: str) -> Any:
        def hook(
            module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
        ) -> None:
            self._close_group()
            (_, owner), inputs = self._stack.pop()
            if kwargs:
                self.keywords[path, self._calls[path]] = {k: _marked(v) for k, v in kwargs.items()}
            outputs = self._copies(output)
            if not (path or outputs):
                raise ParityError(f"{owner} returns {type(output).__name__}, without a tensor.")
            self._add(path, "module", owner, source_of(module), inputs, outputs, _arguments(args))

        return hook

    def _add(
        self,
        path: str,
        kind: Any,
        owner: str,
        source: str,
        inputs: list[Array],
        outputs: list[Array],
        arguments: tuple[Any, ...] | None = None,
    ) -> None:
        call = self._calls[path]
        self._calls[path] += 1
        self._sink(Event(path, call, kind, owner, source, inputs, outputs, arguments))

    def _forced(self, path: str) -> Sequence[Array] | None:
        """What the next call at a path is fed with, if it is."""
        return None if self.forced is None else self.forced.get((path, self._calls[path]))

    def _copies(self, value: Any) -> list[Array]:
        """What is noted of all tensors."""
        return [self._noted.of(tensor) for tensor in tensors_in(value)]

    # Functional steps

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Torch calls this for every operation; see TorchFunctionMode."""
        kwargs = kwargs or {}
        if self._fused is not None and func is self._fused.FUSED:
            return self._take_apart(self._fused, args, kwargs)
        place = self._place()
        if place is None or is_query(func, args):
            return func(*args, **kwargs)
        owner, statement, source = place
        tap = self._subject.by_statement.get((owner, statement))
        if tap is None:
            result = func(*args, **kwargs)
            if tensors_in(result) and statement not in self._subject.no_steps:
                self.unmapped.add(f"{source} {owner}: {statement}")
            return result
        path = f"{self._stack[-1][0][0]}:{tap.name}"
        group = self._group
        if group is None or group.path != path:
            self._close_group()
            forced = self._forced(path)
            group = self._new_group(path, tap, source, self._parameters(), forced, self._noted)
        args, kwargs = group.take((args, kwargs))
        result = func(*args, **kwargs)
        if func is torch.Tensor.__setitem__:
            group.give(args[0])
            self._group = group
        elif tensors_in(result):
            group.give(result)
            self._group = group
        return result

    def _new_group(self, *arguments: Any) -> Group:
        return Group(*arguments)

    def _parameters(self) -> set[int]:
        owner = self.module.get_submodule(self._stack[-1][0][0])
        return {id(p) for p in owner.parameters()}

    def _take_apart(self, fused: Fused, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Note the steps of a fused function."""
        self._close_group()
        result = fused.FUSED(*args, **kwargs)
        path, owner = self._stack[-1][0]
        source = source_of(self.module.get_submodule(path))
        outputs: dict[str, torch.Tensor] = {}
        for name, inputs, function in fused.steps(args, kwargs, outputs):
            place = f"{path}:{name}"
            forced = self._forced(place)
            if forced is not None:
                inputs = tuple(map(narrow_tensor, forced))
            outputs[name] = function(*inputs)
            before, after = self._copies(inputs), self._copies(outputs[name])
            self._add(place, "tap", owner, source, before, after)
        if self.forced is None:
            fused.check(path, outputs, result)
        return result

    def _close_group(self) -> None:
        group, self._group = self._group, None
        if group is not None:
            output = self._copies(group.result)
            self._add(group.path, "tap", group.tap.owner, group.source, group.inputs, output)

    def _place(self) -> tuple[str, str, str] | None:
        """Class, statement and source of the running operation; None inside a leaf module.

        The statement is the innermost one that belongs to a tap; without a tap, the innermost one
        of the reference.
        """
        if not self._stack:
            return None
        path, owner = self._stack[-1][0]
        module = self.module.get_submodule(path)
        if _is_leaf(module):
            return None
        code = inspect.unwrap(type(module).forward).__code__
        frame: FrameType | None = sys._getframe(2)
        innermost: tuple[str, str, str] | None = None
        while frame is not None:
            filename = frame.f_code.co_filename
            if filename.startswith(_CORE) and filename != _BETWEEN:
                return None  # our own copying
            last = frame.f_code is code
            if last or self._subject.is_reference(filename):
                statement, line = statement_at(filename, frame.f_lineno)
                place = owner, statement, where(filename, line)
                if (owner, statement) in self._subject.by_statement:
                    skipped = innermost and innermost[1] in self._subject.no_steps
                    return None if skipped else place
                innermost = innermost or place
            if last:
                return innermost
            frame = frame.f_back
        return None  # outside of any forward


def _is_leaf(module: torch.nn.Module) -> bool:
    """Whether a module is compared as a whole; an empty list is not even called."""
    containers = (torch.nn.ModuleList, torch.nn.ModuleDict, torch.nn.ParameterList)
    children = sum(1 for _ in module.children()) - is_parametrized(module)
    return not children and not isinstance(module, containers)


def _modules(root: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Module]]:
    """The modules with their paths, without those that are part of another: see `owner_of`."""
    return (pair for pair in root.named_modules() if PARTS not in pair[0].split("."))


def _class(module: torch.nn.Module) -> str:
    return type_before_parametrizations(module).__qualname__


def _is_never_called(subject: Subject, root: torch.nn.Module, name: str) -> bool:
    parent, _, child = name.rpartition(".")
    return (_class(root.get_submodule(parent)), child) in subject.never_called


def _arguments(args: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """See `Event.arguments`."""
    if all(isinstance(value, torch.Tensor) for value in args):
        return None
    return tuple(map(_marked, args))


def _marked(value: Any) -> Any:
    return TENSOR if isinstance(value, torch.Tensor) else value


def _call_alone(module: torch.nn.Module, event: Event, keywords: dict[str, Any]) -> list[Array]:
    inputs = list(map(narrow_tensor, event.inputs))
    with torch.no_grad():
        return [copied(tensor) for tensor in call_module(module, event, keywords, inputs)]


def call_module(
    module: torch.nn.Module, event: Event, keywords: dict[str, Any], inputs: list[torch.Tensor]
) -> list[torch.Tensor]:
    """Repeat a call on `inputs`; `keywords` are those that the tracer noted for it."""
    tensors = iter(inputs)

    def filled(value: Any) -> Any:
        return next(tensors) if isinstance(value, str) and value == TENSOR else value

    by_keyword = list(keywords.values()).count(TENSOR)
    arguments = event.arguments or (TENSOR,) * (len(event.inputs) - by_keyword)
    values = [filled(value) for value in arguments]
    named = {key: filled(value) for key, value in keywords.items()}
    with seeded_random():
        return tensors_in(module(*values, **named))


def _widened(array: Array) -> Array:
    """A copy, in float64 if it is in float32."""
    return array.astype(np.float64) if array.dtype == np.float32 else array.copy()


def _floors(narrow: list[Array], wide: list[Array]) -> list[float]:
    return [relative_l2_where_finite(n, w) for n, w in zip(narrow, wide, strict=True)]
