"""What the core is told of one reference and of its port: a `Subject`. Nothing else is assumed.

A subject needs three things of its own: where the reference's code is, which Keras layer stands for
which torch module, and how the port's weights look as a `state_dict`. Layouts say which axes a
tensor has on each side; taps name the functional steps in between. `docs/parity.md` writes one from
the beginning.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from parity.core.configuration import Arguments
from parity.core.events import Event
from parity.core.layouts import Layouts
from parity.core.result import ParityError

Array = npt.NDArray[Any]
Step = tuple[str, tuple[Any, ...], Callable[..., Any]]


@dataclass(frozen=True)
class Tap:
    """One functional step of the reference, which it computes without calling a module.

    A tap is one or more statements of the class `owner`, quoted as `ast.unparse` writes them. While
    the reference runs, every torch operation is traced back to the innermost statement that belongs
    to a tap. Consecutive operations of one tap, not interrupted by a module call, are one call of
    it: its inputs are the tensors from outside, in the order of their first use, its output is the
    last result. `inputs` are layouts; where a step takes a list of tensors, the last one is for all
    that follow. `moves`: no arithmetic, so bitwise equal.
    """

    owner: str
    name: str
    inputs: tuple[str, ...]
    output: str
    statements: tuple[str, ...]
    moves: bool = False


class Observer(Protocol):
    """What watches the port. It runs the function and returns what the pass goes on with."""

    def call(self, layer: Any, function: Callable[..., Any], inputs: tuple[Any, ...]) -> Any:
        """Run the call of a layer."""

    def step(
        self, layer: Any, name: str, function: Callable[..., Any], inputs: tuple[Any, ...]
    ) -> Any:
        """Run the step of the tap `name` inside a layer, maybe on other inputs."""


class Fused(Protocol):
    """A torch function that does several steps at once, in which nothing can be seen."""

    FUSED: Any

    def steps(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: dict[str, Any]
    ) -> Iterator[Step]:
        """Yield (tap's name, inputs, function) of each step; `outputs` has those before it."""

    def check(self, path: str, outputs: dict[str, Any], result: Any) -> None:
        """Raise ParityError unless the steps give what the function gave."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A reference in PyTorch and its port in Keras.

    The reference:
        reference: the packages and modules that its code is in, such as "demucs"; statements are
            looked for in these, in torch's own modules, and in every module's `forward`.
        distributions: the installed packages whose versions results depend on.
        taps: the functional steps, see `Tap`. An operation of none of them fails the coverage.
        no_steps: statements whose operations are no steps, each with the reason.
        never_called: modules that a pass may not call, by (class of the parent, name), and whether
            the parent uses their weights itself.
        moving_modules: classes that only move or select data, and so have to be bitwise equal.
        arguments: (module) -> the arguments that it was made of, or None where it does not say.
        fused: gives what takes a fused function apart; called only where torch is.
        stems: (port) -> samples a second and the names of the stems, of an output (B, S, A, T) that
            can be heard; the page shows and plays it.
        imported_as: where this object is imported from, "package.module:NAME", for replay packs.

    Axes:
        modules: rows (class, path, (layouts of inputs, layouts of outputs)) of regular expressions,
            of which the first that fits counts; the path of the model itself is "". The last layout
            of several is for all further tensors. Without a fitting row, axes are the same.
        maps: what the layout "MAP" is, by the number of axes.

    The port:
        layers: (port) -> its layers under the paths of torch's modules, the port itself under "".
            A path "attention:scores" is a layer that does what the reference does as a tap.
        read_state: (port) -> its weights under the keys and in the layout of the `state_dict`.
        port_arguments: (port) -> its arguments, of which those of the reference are held against
            the module's before any number; or None.
        variables: (port) -> for each key of the `state_dict` a variable, and what gives the part of
            an array like it that belongs to the key, in the reference's layout. Only the backward
            comparison asks for it.
        observe: (port, observer) -> a context in which the observer gets all calls and steps. If
            None, the `call` of each of `layers` is wrapped, which suits any Keras layer.

    Tolerances, where the general ones of `tolerances.py` cannot hold:
        ceilings: what a tap may reach in isolation, by its name and the dtype.
        inexact: in float64 and isolation, the factor of a tap in which the reference is less exact
            than its float32 lets one expect, by its name.
        added_in_float32: classes whose output is float32 in whatever dtype they run.
    """

    reference: tuple[str, ...]
    layers: Callable[[Any], Mapping[str, Any]]
    read_state: Callable[[Any], Mapping[str, Array]]
    variables: Callable[[Any], Mapping[str, tuple[Any, Callable[[Array], Array]]]] | None = None
    observe: Callable[[Any, Observer], AbstractContextManager[None]] | None = None
    arguments: Callable[[Any], Arguments | None] = lambda module: None
    port_arguments: Callable[[Any], Arguments | None] = lambda port: None
    distributions: tuple[str, ...] = ()
    taps: tuple[Tap, ...] = ()
    no_steps: Mapping[str, str] = field(default_factory=dict)
    never_called: Mapping[tuple[str, str], bool] = field(default_factory=dict)
    moving_modules: frozenset[str] = frozenset({"Dropout", "Identity", "ReLU"})
    fused: Callable[[], Fused | None] = lambda: None
    imported_as: str = ""
    stems: Callable[[Any], tuple[int, Sequence[str]]] | None = None
    modules: tuple[tuple[str, str, Layouts], ...] = ()
    maps: Mapping[int, str] = field(default_factory=dict)
    ceilings: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    inexact: Mapping[str, float] = field(default_factory=dict)
    added_in_float32: frozenset[str] = frozenset()

    @cached_property
    def by_statement(self) -> dict[tuple[str, str], Tap]:
        """The taps by (owner, statement)."""
        return {(tap.owner, text): tap for tap in self.taps for text in tap.statements}

    @cached_property
    def by_name(self) -> dict[tuple[str, str], Tap]:
        """The taps by (owner, name)."""
        return {(tap.owner, tap.name): tap for tap in self.taps}

    def tap_of(self, event: Event) -> Tap:
        """The tap that an event is a call of; ParityError for one that the subject lacks."""
        owner, name = event.owner, event.path.rpartition(":")[2]
        if (owner, name) not in self.by_name:
            raise ParityError(f"{event.path}: the subject has no tap {name!r} of {owner}.")
        return self.by_name[owner, name]

    def moves(self, event: Event) -> bool:
        """Whether a call does no arithmetic."""
        if event.kind == "tap":
            return self.tap_of(event).moves
        return event.owner in self.moving_modules

    def layouts_of(self, event: Event) -> tuple[list[str], list[str]]:
        """The layouts of a call's inputs and outputs, one for each tensor."""
        inputs, outputs = self._declared(event)
        return self._of_tensors(inputs, event.inputs), self._of_tensors(outputs, event.outputs)

    def _declared(self, event: Event) -> Layouts:
        if event.kind == "tap":
            tap = self.tap_of(event)
            return tap.inputs, (tap.output,)
        fitting = (
            layouts
            for owner, path, layouts in self.modules
            if re.fullmatch(owner, event.owner) and re.fullmatch(path, event.path)
        )
        return next(fitting, (("",), ("",)))

    def _of_tensors(self, declared: Sequence[str], arrays: Iterable[Array]) -> list[str]:
        chosen = (
            (declared[min(index, len(declared) - 1)], np.ndim(array))
            for index, array in enumerate(arrays)
        )
        return [self.maps.get(axes, "") if text == "MAP" else text for text, axes in chosen]

    @cached_property
    def _places(self) -> tuple[str, ...]:
        """Folders, each with a separator behind it, and files of the reference and torch's modules.

        As the import system has them: a folder of the same name elsewhere is not the reference's.
        """
        places: list[str] = []
        for module in map(import_module, ("torch.nn.modules", *self.reference)):
            if hasattr(module, "__path__"):
                places += [os.path.join(folder, "") for folder in module.__path__]
            elif module.__file__:
                places.append(module.__file__)
        return tuple(places)

    def is_reference(self, filename: str) -> bool:
        """Whether a file belongs to the reference or torch's modules, which its layers extend."""
        return filename.startswith(self._places)
