"""Observers of the port's layers and steps: one that notes, those that tell, those that feed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.core.events import Key
from parity.core.result import ParityError

Array = npt.NDArray[Any]
Take = Callable[[Key, list[Array]], None]  # what is told of each call as it ends


class Recorder:
    """An observer that notes what every layer and every step returns, and changes nothing.

    Attributes:
        outputs: what was returned, by call.
        broken: the innermost call that raised an error, once one did.
    """

    def __init__(self, layers: Mapping[str, Any]) -> None:
        self.outputs: dict[Key, list[Any]] = {}
        self.broken: Key | None = None
        self._paths = {id(layer): path for path, layer in layers.items()}
        self._calls: Counter[str] = Counter()

    def path(self, layer: Any) -> str:
        """The reference's path of a layer."""
        return self._paths[id(layer)]

    def call(self, layer: Any, function: Callable[..., Any], inputs: tuple[Any, ...]) -> Any:
        """Note what a layer returns."""
        path = self.path(layer)
        with self._watched((path, self._calls[path])):
            output = function(*inputs)
        key = self.key(path)
        output = self.returned(key, output)
        self.note(key, output)
        return output

    def step(
        self, layer: Any, name: str, function: Callable[..., Any], inputs: tuple[Any, ...]
    ) -> Any:
        """Note what a step returns."""
        key = self.key(f"{self.path(layer)}:{name}")
        inputs = self.replace(key, layer, name, inputs)
        with self._watched(key):
            output = function(*inputs)
        output = self.returned(key, output)
        self.note(key, output)
        return output

    @contextmanager
    def _watched(self, key: Key) -> Iterator[None]:
        try:
            yield
        except Exception:
            self.broken = self.broken or key
            raise

    def key(self, path: str) -> Key:
        """Path and index of the next call at `path`."""
        call = self._calls[path]
        self._calls[path] += 1
        return path, call

    def note(self, key: Key, output: Any) -> None:
        """Keep an output, leaf by leaf."""
        self.outputs[key] = tensors_in(output)

    def replace(self, key: Key, layer: Any, name: str, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """What a step is fed with: here, what it was given."""
        return inputs

    def returned(self, key: Key, output: Any) -> Any:
        """What the pass goes on with behind a call: here, what it returned."""
        return output


class Teller(Recorder):
    """A recorder that tells what every layer and every step returns, and keeps the last.

    A layer that returns what its last layer did gives the same arrays.
    """

    def __init__(self, layers: Mapping[str, Any], take: Take) -> None:
        super().__init__(layers)
        self._take = take
        self._last: list[tuple[Any, Array]] = []

    def note(self, key: Key, output: Any) -> None:
        """Tell of an output."""
        known = {id(tensor): array for tensor, array in self._last}
        tensors = tensors_in(output)
        found = [known[id(x)] if id(x) in known else np.asarray(x) for x in tensors]
        self._last = list(zip(tensors, found, strict=True))
        self._take(key, found)


class Forcer(Recorder):
    """A recorder that feeds every step with the reference's own input."""

    def __init__(
        self, layers: Mapping[str, Any], expected: Mapping[Key, Callable[[], tuple[Any, ...]]]
    ) -> None:
        super().__init__(layers)
        self._expected = expected

    def replace(self, key: Key, layer: Any, name: str, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """The reference's inputs of this step, in the port's layout and type."""
        if key not in self._expected:
            return inputs  # reported as a call that the reference does not have
        forced = self._expected[key]()
        if len(forced) != len(inputs):
            raise ParityError(
                f"{key[0]}: the reference's step has {len(forced)} input tensors, the "
                f"port's has {len(inputs)}: make `step` in {type(layer).__name__} take the same."
            )
        return forced


class LeafTeller(Forcer):
    """A forcer that feeds and tells all in which nothing else is observed: steps and leaf layers.

    A leaf is fed where it gets tensors like the reference's. Of other layers it notes that they
    were called.

    Args:
        layers: by path.
        expected: the reference's inputs of each call.
        leaves: the paths of leaf layers.
        take: what is told.

    Attributes:
        told: the calls of layers that it told of.
    """

    def __init__(
        self,
        layers: Mapping[str, Any],
        expected: Mapping[Key, Callable[[], tuple[Any, ...]]],
        leaves: Container[str],
        take: Take,
    ) -> None:
        super().__init__(layers, expected)
        self._leaves = leaves
        self._take = take
        self.told: set[Key] = set()

    def call(self, layer: Any, function: Callable[..., Any], inputs: tuple[Any, ...]) -> Any:
        """Run a leaf on the reference's inputs; any other layer goes on with what it was given."""
        path = self.path(layer)
        key = path, self._calls[path]
        if path in self._leaves and key in self._expected:
            forced = self._expected[key]()
            if list(map(_kind, forced)) == list(map(_kind, inputs)):
                self.told.add(key)
                inputs = forced
        return super().call(layer, function, inputs)

    def note(self, key: Key, output: Any) -> None:
        """Tell of a step or of a leaf that was fed, remember any other layer."""
        if ":" in key[0] or key in self.told:
            self._take(key, arrays(tensors_in(output)))
        if ":" not in key[0]:
            self.outputs[key] = []


def _kind(tensor: Any) -> Any:
    """Shape and type; False for what is no tensor."""
    return hasattr(tensor, "shape") and (tuple(tensor.shape), tensor.dtype)


def arrays(tensors: list[Any]) -> list[Array]:
    """Tensors as arrays."""
    return [np.asarray(tensor) for tensor in tensors]


def tensors_in(output: Any) -> list[Any]:
    """The tensors that a layer returned; a place may be empty."""
    leaves = output if isinstance(output, (tuple, list)) else [output]
    return [leaf for leaf in leaves if leaf is not None]
