"""Goldens: what the reference gave, kept as one NPZ and one manifest a case.

All numbers lie in one row, each array once, whatever the number of calls that share it; the
manifest says where, and has a hash of the row. Reading needs no pickles, and what does not match is
refused.
"""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import platformdirs

from demucs_tf.utils.atomic import write_whole
from parity.cases import Case
from parity.core.events import Event, Expected
from parity.core.result import ParityError
from parity.core.seeding import seeded_state, state_hash

Array = npt.NDArray[Any]
FORMAT = 2


def default_folder() -> Path:
    """`golden/` of the checkout that this package is imported from, else of the current folder."""
    beside = Path(__file__).resolve().parents[2] / "golden"
    return beside if beside.is_dir() else Path("golden")


def folder_of(case: Case, folder: Path | None = None) -> Path:
    """Where the golden of a case lies."""
    if folder is not None:
        return folder
    if case.stored == "repository":
        return default_folder()
    return platformdirs.user_cache_path("demucs_tf") / "golden"


def renew_command(case: Case) -> str:
    """The command that makes the golden of a case."""
    return f"python -m parity capture --case {case.name}"


def write(case: Case, expected: Expected, folder: Path | None = None) -> Path:
    """Write the golden of a case; returns the manifest's path."""
    folder = folder_of(case, folder)
    folder.mkdir(parents=True, exist_ok=True)
    row = _Row()
    manifest = {
        "format": FORMAT,
        "case": _case_as_json(case),
        "command": renew_command(case),
        "reference": expected.reference,
        "environment": expected.environment,
        "weights_sha256": state_hash(expected.state),
        "state": {key: list(array.shape) for key, array in expected.state.items()},
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
    numbers = row.numbers()
    manifest["numbers_sha256"] = _hash(numbers)
    manifest["manifest_sha256"] = _manifest_hash(manifest)
    with write_whole(folder / f"{case.name}.npz") as temporary:
        np.savez_compressed(temporary, numbers=numbers)
    path = folder / f"{case.name}.json"
    with write_whole(path) as temporary:
        temporary.write_text(_lines(manifest), encoding="utf-8")
    return path


class _Row:
    """Puts arrays one behind the other."""

    def __init__(self) -> None:
        self._places: dict[bytes, int] = {}
        self._arrays: list[Array] = []
        self._length = 0

    def store(self, array: Array) -> list[Any]:
        """Where the array lies: its first number, its type, its shape."""
        # Found by content alone: a reshaped view is the same numbers.
        content = np.ascontiguousarray(array).tobytes()
        if content not in self._places:
            self._places[content] = self._length
            self._arrays.append(array.astype(np.float64).ravel())
            self._length += array.size
        return [self._places[content], array.dtype.char, *array.shape]

    def numbers(self) -> Array:
        """All of them."""
        return np.concatenate(self._arrays)


def _lines(manifest: dict[str, Any]) -> str:
    """JSON with a line for each entry and each event, so that a change can be read."""
    entries = []
    for key, value in manifest.items():
        text = json.dumps(value, separators=(",", ":"), default=str)
        if key == "events":
            text = "[\n" + ",\n".join(json.dumps(e, separators=(",", ":")) for e in value) + "\n]"
        entries.append(f"{json.dumps(key)}:{text}")
    return "{\n" + ",\n".join(entries) + "\n}\n"


def read(case: Case, folder: Path | None = None) -> Expected:
    """Read and verify the golden of a case. Its weights are drawn again from the seed.

    Args:
        case: the row; the golden's own copy of it has to be equal.
        folder: where it lies, if not at the usual place.

    Raises:
        ParityError: missing, of another format, made for another row or other weights, truncated
            or altered. The message names the file and the command that renews it.
    """
    folder = folder_of(case, folder)
    path = folder / f"{case.name}.json"
    manifest = read_manifest(path, case)
    if manifest["case"] != _case_as_json(case):
        raise ParityError(f"{path} was made for another version of this row: {renew_command(case)}")
    state = seeded_state(manifest["state"].items(), case.seed)
    if manifest["weights_sha256"] != state_hash(state):
        raise ParityError(f"{path} belongs to other weights: {renew_command(case)}")
    numbers = _read_numbers(folder / f"{case.name}.npz", case)
    if manifest["numbers_sha256"] != _hash(numbers):
        raise ParityError(f"{path}: the numbers in its NPZ were altered: {renew_command(case)}")
    used = np.zeros(len(numbers), bool)

    def restore(entry: list[Any]) -> Array:
        start, dtype, *shape = entry
        stop = start + math.prod(shape)
        used[start:stop] = True
        return numbers[start:stop].reshape(shape).astype(dtype)

    try:
        events = [
            Event(
                **{
                    **event,
                    **({"arguments": tuple(event["arguments"])} if "arguments" in event else {}),
                    "inputs": [restore(entry) for entry in event["inputs"]],
                    "outputs": [restore(entry) for entry in event["outputs"]],
                }
            )
            for event in manifest["events"]
        ]
        mix = restore(manifest["mix"])
    except (KeyError, TypeError, ValueError) as error:
        raise ParityError(f"{path} is damaged ({error}): {renew_command(case)}") from error
    if not used.all():
        raise ParityError(f"{path}: its NPZ has numbers that nothing uses: {renew_command(case)}")
    return Expected(
        reference=manifest["reference"],
        mix=mix,
        events=events,
        state=state,
        buffers=tuple(manifest["buffers"]),
        leaves=tuple(manifest["leaves"]),
        idle=tuple(manifest["idle"]),
        unmapped=tuple(manifest["unmapped"]),
        environment=manifest["environment"],
    )


def _case_as_json(case: Case) -> Any:
    """The case as JSON has it, fractions as text; `port` and `apply` only where there are any."""
    row = json.loads(json.dumps(asdict(case), default=str))
    return {key: value for key, value in row.items() if value != {}}


def read_manifest(path: Path, case: Case) -> dict[str, Any]:
    """The manifest alone."""
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            raise ValueError(f"format {manifest['format']}, expected {FORMAT}")
        if manifest["manifest_sha256"] != _manifest_hash(manifest):
            raise ValueError("it was altered")
    except FileNotFoundError as error:
        raise ParityError(f"{path} is missing: {renew_command(case)}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ParityError(f"{path} is damaged ({error}): {renew_command(case)}") from error
    return dict(manifest)


def _manifest_hash(manifest: dict[str, Any]) -> str:
    """Over everything else in the manifest: floors are tolerances, and leaves are coverage."""
    rest = {key: value for key, value in manifest.items() if key != "manifest_sha256"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _hash(numbers: Array) -> str:
    return hashlib.sha256(numbers.tobytes()).hexdigest()


def _read_numbers(path: Path, case: Case) -> Array:
    try:
        # Opened here, because np.load leaves the file open when it is damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            numbers: Array = archive["numbers"]
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ParityError(
            f"{path} is missing, truncated or altered ({error}): {renew_command(case)}"
        ) from error
    return numbers
