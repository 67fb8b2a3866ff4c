"""Goldens of the backward pass, each beside the golden of the forward pass that it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parity.core.backward.gradients import Array, Backward, Gradient, Pulled
from parity.core.events import Expected
from parity.core.files import json_file
from parity.core.files.golden import Golden
from parity.core.files.numbers import Restorer, Row, hash_of, read_manifest, read_row, write
from parity.core.result import ParityError

FORMAT = 1
FOLDER = "backward"


@dataclass(frozen=True)
class BackwardGolden:
    """The gradients of a case, and the command that makes them.

    `forward` is the golden that has the inputs they were taken at.
    """

    forward: Golden
    command: str

    @property
    def path(self) -> Path:
        """The manifest. The numbers are beside it."""
        return self.forward.folder / FOLDER / f"{self.forward.case.name}.json"

    def write(self, backward: Backward) -> Path:
        """Write what the reference gave; returns the manifest's path."""
        row = Row()
        manifest = {
            "format": FORMAT,
            "case": self.forward.case.name,
            "command": self.command,
            "forward": self._forward(),
            "environment": backward.forward.environment,
            "calls": [_stored(pulled, row) for pulled in (*backward.calls, backward.whole)],
        }
        write(self.path, manifest, row, by_line="calls")
        return self.path

    def read(self, forward: Expected) -> Backward:
        """Read and verify; `forward` is what the forward pass's golden has.

        Raises:
            ParityError: missing, damaged, altered, or made at other inputs. The message names the
                file and the command that renews it.
        """
        try:
            manifest = read_manifest(self.path, FORMAT)
            numbers = read_row(self.path)
            if manifest["forward"] != self._forward():
                raise ValueError("it was made at other inputs or weights")
            if manifest["numbers_sha256"] != hash_of(numbers):
                raise ValueError("the numbers in its NPZ were altered")
            restore = Restorer(numbers)
            *calls, whole = [_restored(values, restore) for values in manifest["calls"]]
            if not restore.whole:
                raise ValueError("its NPZ has numbers that nothing uses")
            if [each.key for each in (*calls, whole)] != [e.key for e in forward.events]:
                raise ValueError("it has other calls than the forward pass")
        except FileNotFoundError as error:
            raise ParityError(f"{self.path} is missing: {self.command}") from error
        except json_file.DAMAGED as error:
            reason = json_file.reason(error)
            raise ParityError(f"{self.path} is damaged ({reason}): {self.command}") from error
        return Backward(forward, calls, whole)

    def _forward(self) -> str:
        """What the forward pass is known by: its numbers and its weights."""
        manifest = self.forward.manifest()
        return f"{manifest['numbers_sha256']} {manifest['weights_sha256']}"


def _stored(pulled: Pulled, row: Row) -> dict[str, Any]:
    def entry(gradient: Gradient | None) -> Any:
        if gradient is None:
            return None
        place = None if gradient.wide is None else row.store(gradient.wide)
        return [place, gradient.floor, gradient.reason]

    return {
        "path": pulled.path,
        "call": pulled.call,
        "inputs": [entry(each) for each in pulled.inputs],
        "weights": {key: entry(each) for key, each in pulled.weights.items()},
    }


def _restored(values: dict[str, Any], restore: Callable[[Any], Array]) -> Pulled:
    def gradient(entry: Any) -> Gradient:
        place, floor, reason = entry
        json_file.check(str, reason)
        wide = None if place is None else restore(place)
        return Gradient(wide, json_file.number(floor) or 0.0, reason)

    json_file.check(str, values["path"], *values["weights"])
    json_file.check(int, values["call"])
    inputs: Iterable[Any] = values["inputs"]
    return Pulled(
        values["path"],
        values["call"],
        [None if entry is None else gradient(entry) for entry in inputs],
        {key: gradient(entry) for key, entry in values["weights"].items()},
    )
