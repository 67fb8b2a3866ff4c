"""Runs the cases of a subject: from a row of its table to a `Result`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt

from parity.core.capture.port import Engine, Outputs, build
from parity.core.checking import Modes, check_expected, check_outputs
from parity.core.configuration import Arguments
from parity.core.diagnosis import diagnosed
from parity.core.events import Expected
from parity.core.files.changes import changes
from parity.core.files.golden import AnyCase, Golden, Stored
from parity.core.guards.control import control
from parity.core.machine.memory import give_back
from parity.core.result import Mode, ParityError, Result
from parity.core.subject import Subject

Array = npt.NDArray[Any]
Inputs = Array | tuple[Array, ...]


@dataclass(frozen=True)
class Case:
    """A case of a module that is made from a configuration and takes tensors of these shapes.

    For a subject whose cases need other fields, any class will do that is an `AnyCase`.
    """

    name: str
    reference: str
    config: dict[str, Any] = field(hash=False)
    shapes: tuple[tuple[int, ...], ...]
    seed: int = 0
    stored: Stored = "repository"
    full: bool = False
    note: str = ""


class Whole(Protocol):
    """A case that looks at what surrounds a model: one output, in the real pass only."""

    def capture(self, module: Any, mix: Any) -> Expected:
        """What the reference gives."""

    def outputs(self, port: Any, mix: Array) -> Outputs:
        """What the port gives."""

    def borders(self, port: Any, mix: Array) -> Sequence[int]:
        """Samples at which a chunk begins, of those whose place is known."""


@dataclass(frozen=True, eq=False)
class Suite:
    """What a subject's cases are made of.

    subject: what the cases compare.
    reference: (case) -> the module with its weights: `seeding.seed_module` with the case's seed.
    port: (case, dtype) -> the port with the same weights.
    inputs: (case) -> what both hear: an array of any shape, or a tuple of several.
    goldens: (case) -> the folder of its golden.
    command: what makes the golden of the case whose name follows.
    whole: (case) -> what captures and runs a case that is not about a model's layers, else None.
    arguments: (case) -> those that the module of its golden was made of, or None.
    """

    subject: Subject
    reference: Callable[[Any], Any]
    port: Callable[[Any, str], Any]
    inputs: Callable[[Any], Inputs]
    goldens: Callable[[Any], Path]
    command: str
    whole: Callable[[Any], Whole | None] = lambda case: None
    arguments: Callable[[Any], Arguments | None] = lambda case: None

    def golden(self, case: AnyCase, folder: Path | None = None) -> Golden:
        """The golden of a case, at its usual place or in `folder`."""
        return Golden(case, folder or self.goldens(case), f"{self.command} {case.name}")

    def run_case(
        self,
        case: AnyCase,
        dtype: str,
        mode: Modes = "both",
        live: bool = False,
        folder: Path | None = None,
        engine: Engine = "eager",
        draw: bool = False,
        to_first: bool = False,
    ) -> Result:
        """Compare the port with a case's golden, or, with `live`, with the running reference.

        `draw` asks for a portrait of every tensor; `to_first` ends the isolated mode once its first
        divergence is known.
        """
        port = self.port(case, dtype)
        expected = self.live_expected(case) if live else self.stored_expected(case, folder)
        whole = self.whole(case)
        if whole is None:
            return check_expected(
                self.subject, expected, port, dtype, mode, case.name, engine, draw, to_first
            )
        found: dict[Mode, Outputs] = {"cumulative": whole.outputs(port, expected.mix)}
        result = check_outputs(self.subject, expected, port, dtype, found, case.name, draw=draw)
        borders = whole.borders(port, expected.mix)
        sound = result.sound and replace(result.sound, borders=tuple(borders))
        return replace(result, sound=sound)

    def control(self, case: AnyCase, dtype: str, expected: Expected) -> str:
        """Spoil one call of the port of a case: its path, or ParityError if that passes."""
        return control(self.subject, expected, self.port(case, dtype))

    def diagnosed(
        self,
        case: AnyCase,
        result: Result,
        live: bool = False,
        folder: Path | None = None,
        replay: Path | None = None,
    ) -> Result:
        """The result with what each call adds to the final error; whole tracks have no calls.

        With `replay`, a folder, its first failing call is packed there.
        """
        if self.whole(case) is not None:
            return result
        expected = self.live_expected(case) if live else self.stored_expected(case, folder)
        port = self.port(case, result.dtype)
        build(self.subject, port, expected)
        return diagnosed(self.subject, expected, port, result, replay)

    @cached_property
    def live_expected(self) -> Any:
        """(case) -> what the running reference gives; that of the last case is kept."""
        return lru_cache(maxsize=1)(self._live_expected)

    def _live_expected(self, case: AnyCase) -> Expected:
        """Small cases run on one thread, which is faster for them."""
        import torch

        from parity.core.capture.reference import capture

        module, mix, whole = self.reference(case), self.inputs(case), self.whole(case)
        threads = torch.get_num_threads()
        torch.set_num_threads(threads if case.full else 1)
        try:
            expected = whole.capture(module, mix) if whole else capture(self.subject, module, mix)
        finally:
            torch.set_num_threads(threads)
        expected.environment["seed"] = case.seed
        if case.full:
            give_back()
        return expected

    @cached_property
    def stored_expected(self) -> Any:
        """(case, folder=None) -> its golden; the last few are kept.

        One that is made on demand is made here if it is not there yet.
        """
        return lru_cache(maxsize=4)(self._stored_expected)

    def _stored_expected(self, case: AnyCase, folder: Path | None = None) -> Expected:
        if case.stored == "live":
            raise ParityError(f"{case.name} has no golden: run it with --live.")
        golden = self.golden(case, folder)
        if case.stored == "cache" and not golden.path.exists():
            golden.write(self.live_expected(case))
        expected = golden.read()
        expected.arguments = self.arguments(case)
        return expected

    def stale(self, case: AnyCase, folder: Path | None = None) -> list[str]:
        """What of a golden no longer equals what the reference gives; empty if all does."""
        old, new = self.stored_expected(case, folder), self.live_expected(case)
        return changes(old, new)
