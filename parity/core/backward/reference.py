"""Runs the reference's backward pass: of the whole model, and of every call on its own input."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from parity.core.backward.gradients import (
    DRAWS,
    Backward,
    Draws,
    Gradient,
    NoGradient,
    Pulled,
    cotangents,
    judged,
)
from parity.core.capture.operations import Group, tensors_in
from parity.core.capture.progress import counted, say
from parity.core.capture.reference import Tracer, call_module
from parity.core.events import Event, Expected, Key, owner_of
from parity.core.machine.mkl import common_exponential
from parity.core.subject import Fused, Subject

Array = npt.NDArray[Any]
Found = tuple[list[Draws | None], dict[str, Draws | None]]  # by input, by weight


@common_exponential()
def capture(subject: Subject, module: torch.nn.Module, expected: Expected) -> Backward:
    """Capture the gradients of a reference whose forward pass was captured.

    Args:
        subject: what is known of the reference.
        module: the module that `expected` is of; neither it nor its mode is changed.
        expected: its forward pass.

    Every gradient is taken in float64 and in float32, on the same inputs and cotangents: for the
    model from a whole pass, for a module alone, for a functional step in a pass in which all steps
    are fed with their own input.
    """
    wide, narrow = (_copy(module, dtype) for dtype in (torch.float64, torch.float32))
    say("reference: gradients of the model")
    watchers = [_Watcher(subject, model, expected) for model in (wide, narrow)]
    whole = _pulled(expected.root, watchers[0].gradients(), watchers[1].gradients())
    say("reference: gradients of steps and layers")
    found = [_Puller(subject, model, expected).gradients() for model in (wide, narrow)]
    constants = watchers[0].constants
    calls = [
        _pulled(event, found[0][event.key], found[1][event.key], constants[event.key])
        for event in expected.events[:-1]
    ]
    return Backward(expected, calls, whole)


def weights_by_call(subject: Subject, expected: Expected) -> dict[str, list[str]]:
    """The keys of the weights by the path of the module whose call uses them."""
    called = {event.path: event for event in expected.events if event.kind == "module"}
    found: dict[str, list[str]] = {}
    for key in expected.state:
        path = owner_of(key)
        parent, _, child = path.rpartition(".")
        if path not in called and parent in called:
            used = subject.never_called.get((called[parent].owner, child))
            path = parent if used else path
        if key not in expected.buffers:
            found.setdefault(path, []).append(key)
    return found


def _copy(module: torch.nn.Module, dtype: torch.dtype) -> torch.nn.Module:
    return copy.deepcopy(module).eval().to(dtype).requires_grad_(True)


def _pulled(event: Event, wide: Found, narrow: Found, constants: Sequence[bool] = ()) -> Pulled:
    inputs: list[Gradient | None] = []
    for index, array in enumerate(event.inputs):
        constant = bool(constants) and constants[index]
        number = np.issubdtype(array.dtype, np.floating)
        inputs.append(judged(wide[0][index], narrow[0][index], constant) if number else None)
    weights = {key: judged(array, narrow[1][key]) for key, array in wide[1].items()}
    return Pulled(event.path, event.call, inputs, weights)


class _Watcher(Tracer):
    """A whole pass with gradients, which notes what inputs of calls are constants."""

    GRADIENTS = True

    def __init__(self, subject: Subject, module: torch.nn.Module, expected: Expected) -> None:
        super().__init__(subject, module, sink=self._take)
        self.constants: dict[Key, list[bool]] = {}
        self._expected = expected
        self._found: Found = ([], {})

    def gradients(self) -> Found:
        """Those of the model, by its inputs and by all of its weights."""
        kind = _kind(self.module)
        self.run(*(_typed(array, kind).numpy() for array in self._expected.root.inputs))
        return self._found

    def _forward(self, tensors: list[torch.Tensor]) -> None:
        for tensor in tensors:
            tensor.requires_grad_(tensor.is_floating_point())
        with self:
            outputs = tensors_in(self.module(*tensors))
        weights = dict(self.module.named_parameters())
        try:
            self._found = _gradients(outputs, self._expected.root, tensors, weights)
        except RuntimeError as error:
            reason = str(error).partition(": [")[0].partition("\n")[0]
            raise NoGradient(f"the reference has no gradient: torch says {reason!r}") from error

    def _take(self, event: Event) -> None:
        self.constants[event.key] = [not bool(array) for array in event.inputs]

    def _copies(self, value: Any) -> list[Array]:
        return [np.array(tensor.requires_grad) for tensor in tensors_in(value)]

    def _new_group(self, *arguments: Any) -> Group:
        return _WatchedGroup(*arguments)


class _WatchedGroup(Group):
    def note(self, tensor: torch.Tensor) -> Array:
        return np.array(tensor.requires_grad)


class _Puller(Tracer):
    """A pass in which every step is fed with its own input and pulled back at once."""

    GRADIENTS = True

    def __init__(self, subject: Subject, module: torch.nn.Module, expected: Expected) -> None:
        forced = {event.key: event.inputs for event in expected.events if event.kind == "tap"}
        super().__init__(subject, module, forced, sink=lambda event: None)
        self._expected = expected
        self._by_key = {event.key: event for event in expected.events}
        self._by_call = weights_by_call(subject, expected)
        self._named = dict(module.named_parameters())
        self._found: dict[Key, Found] = {}

    def gradients(self) -> dict[Key, Found]:
        """Those of every call, by its inputs and by the weights of its own."""
        kind = _kind(self.module)
        self.run(*(_typed(array, kind).numpy() for array in self._expected.root.inputs))
        for event in counted(self._expected.events[:-1], "reference: pulled back, call"):
            if event.kind == "module":
                leaves = [_leaf(_typed(array, kind)) for array in event.inputs]
                inputs = [leaf.clone() for leaf in leaves]
                layer = self.module.get_submodule(event.path)
                outputs = call_module(layer, event, self.keywords.get(event.key, {}), inputs)
                weights = self._weights(event.path)
                self._found[event.key] = _gradients(outputs, event, leaves, weights)
        return self._found

    def _weights(self, path: str) -> dict[str, torch.nn.Parameter]:
        return {key: self._named[key] for key in self._by_call.get(path, ())}

    def _new_group(self, *arguments: Any) -> Group:
        return _PulledGroup(*arguments)

    def _close_group(self) -> None:
        group = self._group
        if isinstance(group, _PulledGroup):
            self._pull((group.path, self._calls[group.path]), [group.result], group.leaves)
        super()._close_group()

    def _take_apart(self, fused: Fused, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._close_group()
        path = self._stack[-1][0][0]
        outputs: dict[str, torch.Tensor] = {}
        for name, inputs, function in fused.steps(args, kwargs, outputs):
            key = f"{path}:{name}", self._calls[f"{path}:{name}"]
            self._calls[key[0]] += 1
            arrays = self._by_key[key].inputs
            leaves = [_leaf(_typed(a, t.dtype)) for a, t in zip(arrays, inputs, strict=True)]
            outputs[name] = function(*leaves)
            self._pull(key, [outputs[name]], leaves)
        return fused.FUSED(*args, **kwargs)

    def _pull(self, key: Key, outputs: list[torch.Tensor], leaves: list[torch.Tensor]) -> None:
        weights = self._weights(key[0].rpartition(":")[0])
        inputs, found = _gradients(outputs, self._by_key[key], leaves, weights)
        # The other weights of the module belong to other steps.
        self._found[key] = inputs, {k: g for k, g in found.items() if g is not None}


class _PulledGroup(Group):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.leaves: list[torch.Tensor] = []

    def fed(self, array: Array) -> torch.Tensor:
        self.leaves.append(_leaf(_typed(array, self._copies.dtype)))
        return self.leaves[-1].clone()  # some operations work in place, which leaves do not like


def _kind(module: torch.nn.Module) -> torch.dtype:
    numbers = (t.dtype for t in (*module.parameters(), *module.buffers()) if t.is_floating_point())
    return next(numbers, torch.float64)


def _leaf(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.requires_grad_(tensor.is_floating_point())


def _typed(array: Array, dtype: torch.dtype) -> torch.Tensor:
    tensor = torch.from_numpy(array.copy())
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def _gradients(
    outputs: list[torch.Tensor],
    event: Event,
    inputs: list[torch.Tensor],
    weights: Mapping[str, torch.Tensor],
) -> Found:
    """The gradients of the outputs, weighted with the call's cotangents, for each draw of them."""
    sources = [tensor for tensor in (*inputs, *weights.values()) if tensor.requires_grad]
    found: dict[int, Draws] = {}
    for draw in range(DRAWS):
        pairs = [
            (real, torch.from_numpy(cotangent).to(real.dtype))
            for real, cotangent in zip(map(_real, outputs), cotangents(event, draw), strict=True)
            if cotangent is not None and real.requires_grad
        ]
        if not pairs or not sources:
            break
        result = torch.autograd.grad(
            [real for real, _ in pairs],
            sources,
            [cotangent for _, cotangent in pairs],
            allow_unused=True,
            retain_graph=draw < DRAWS - 1,
        )
        for source, gradient in zip(sources, result, strict=True):
            if gradient is not None:
                found.setdefault(id(source), []).append(gradient.detach().numpy().copy())
    by_weight = {key: found.get(id(weight)) for key, weight in weights.items()}
    return [found.get(id(tensor)) for tensor in inputs], by_weight


def _real(tensor: torch.Tensor) -> torch.Tensor:
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor
