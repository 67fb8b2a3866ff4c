"""Goldens: what the reference gave, kept as one NPZ and one manifest a case.

All numbers lie in one row, each array once, whatever the number of calls that share it; the
manifest says where, and has a hash of the row. Reading needs no pickles, and what does not match is
refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from parity.core.events import Event, Expected
from parity.core.files import json_file
from parity.core.files.numbers import Restorer, Row, hash_of, read_manifest, read_row, write
from parity.core.result import ParityError
from parity.core.seeding import seeded_state, state_hash

Array = npt.NDArray[Any]
FORMAT = 2
Stored = Literal["repository", "cache", "live"]


class AnyCase(Protocol):
    """What is asked of a case: a frozen dataclass, whose fields its golden has to be made for.

    `stored`: "repository" keeps the golden in the repository; "cache" makes it on demand in a
    folder of the user's; "live" is compared with the running reference only, because its input may
    not be distributed or its activations are too large. `seed` draws the weights. `full`: of full
    size, so that it runs on all cores.
    """

    @property
    def name(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def stored(self) -> Stored: ...
    @property
    def full(self) -> bool: ...


@dataclass(frozen=True)
class Golden:
    """The golden of a case: in which folder it lies, and which command makes it."""

    case: AnyCase
    folder: Path
    command: str

    @property
    def path(self) -> Path:
        """The manifest. The numbers are beside it."""
        return self.folder / f"{self.case.name}.json"

    def write(self, expected: Expected) -> Path:
        """Write what the reference gave; returns the manifest's path."""
        row = Row()
        whole = {  # no weights, so no seed draws them
            key: [array.dtype.char, array.tolist()]
            for key, array in expected.state.items()
            if not np.issubdtype(array.dtype, np.floating)
        }
        manifest = {
            "format": FORMAT,
            "case": case_as_json(self.case),
            "command": self.command,
            "reference": expected.reference,
            "environment": expected.environment,
            "weights_sha256": state_hash(expected.state),
            "state": {key: list(array.shape) for key, array in expected.state.items()},
            **({"whole_numbers": whole} if whole else {}),
            "buffers": list(expected.buffers),
            "leaves": list(expected.leaves),
            "idle": list(expected.idle),
            "unmapped": list(expected.unmapped),
            "mix": row.store(expected.mix),
            "events": [
                {
                    **{k: getattr(event, k) for k in ("path", "call", "kind", "owner", "source")},
                    **({} if event.arguments is None else {"arguments": list(event.arguments)}),
                    "inputs": [row.store(array) for array in event.inputs],
                    "outputs": [row.store(array) for array in event.outputs],
                    "isolated_floors": event.isolated_floors,
                    "cumulative_floors": event.cumulative_floors,
                }
                for event in expected.events
            ],
        }
        write(self.path, manifest, row, by_line="events")
        return self.path

    def read(self) -> Expected:
        """Read and verify. The weights are drawn again from the case's seed.

        Raises:
            ParityError: missing, of another format, made for another version of the case or for
                other weights, truncated or altered. The message names the file and the command
                that renews it.
        """
        manifest = self.manifest()
        try:
            return self._expected(manifest)
        except json_file.DAMAGED as error:
            raise self._error(f"{self.path} is damaged ({error})") from error

    def _expected(self, manifest: dict[str, Any]) -> Expected:
        if manifest["case"] != case_as_json(self.case):
            raise self._error(f"{self.path} was made for another version of this row")
        state = _state(manifest, self.case.seed)
        if manifest["weights_sha256"] != state_hash(state):
            raise self._error(f"{self.path} belongs to other weights")
        numbers = self._numbers()
        if manifest["numbers_sha256"] != hash_of(numbers):
            raise self._error(f"{self.path}: the numbers in its NPZ were altered")
        restore = Restorer(numbers)
        events = [_event(values, restore) for values in manifest["events"]]
        names: dict[str, Any] = {
            key: tuple(manifest[key]) for key in ("buffers", "leaves", "idle", "unmapped")
        }
        json_file.check(str, manifest["reference"], *(n for each in names.values() for n in each))
        json_file.check(dict, manifest["environment"])
        mix = restore(manifest["mix"])
        if not restore.whole:
            raise self._error(f"{self.path}: its NPZ has numbers that nothing uses")
        return Expected(
            reference=manifest["reference"],
            mix=mix,
            events=events,
            state=state,
            environment=manifest["environment"],
            **names,
        )

    def manifest(self) -> dict[str, Any]:
        """The manifest alone; ParityError unless it is as it was written."""
        try:
            return read_manifest(self.path, FORMAT)
        except FileNotFoundError as error:
            raise self._error(f"{self.path} is missing") from error
        except json_file.DAMAGED as error:
            raise self._error(f"{self.path} is damaged ({error})") from error

    def _numbers(self) -> Array:
        try:
            return read_row(self.path)
        except ValueError as error:
            raise self._error(str(error)) from error

    def _error(self, text: str) -> ParityError:
        return ParityError(f"{text}: {self.command}")


def _event(values: dict[str, Any], restore: Callable[[Any], Array]) -> Event:
    arrays = {key: [restore(entry) for entry in values[key]] for key in ("inputs", "outputs")}
    floors = {
        key: [json_file.number(value) for value in values[key]]
        for key in ("isolated_floors", "cumulative_floors")
    }
    arguments = {"arguments": tuple(values["arguments"])} if "arguments" in values else {}
    event = Event(**{**values, **arrays, **floors, **arguments})
    json_file.check(str, event.path, event.kind, event.owner, event.source)
    json_file.check(int, event.call)
    json_file.check(float, *event.isolated_floors, *event.cumulative_floors)
    if not len(event.isolated_floors) == len(event.cumulative_floors) == len(event.outputs):
        raise ValueError(f"{event.path}: a floor for each output is missing")
    return event


def _state(manifest: dict[str, Any], seed: int) -> dict[str, Array]:
    """The weights, drawn again, and the whole numbers beside them, in the reference's order."""
    kept = manifest.get("whole_numbers", {})
    whole = {key: np.array(value, dtype) for key, (dtype, value) in kept.items()}
    drawn = seeded_state(((k, s) for k, s in manifest["state"].items() if k not in whole), seed)
    return {key: whole[key] if key in whole else drawn[key] for key in manifest["state"]}


def case_as_json(case: Any) -> Any:
    """The case as JSON has it, fractions as text; `port` and `apply` only where there are any."""
    row = json.loads(json.dumps(asdict(case), default=str))
    return {key: value for key, value in row.items() if value != {}}
