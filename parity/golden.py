"""Goldens: what the reference gave, kept as one NPZ and one manifest a case.

Arrays are stored once each, whatever the number of calls that share them, and read without
pickles. The manifest has a hash of every array; a file that does not match it is refused.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import platformdirs

from demucs_tf.utils.files import write_whole
from parity.cases import Case
from parity.events import Event, Expected
from parity.result import ParityError
from parity.seeding import seeded_state, state_hash

Array = npt.NDArray[Any]
FORMAT = 1


def default_folder() -> Path:
    """`golden/` of the checkout that this package is imported from, else of the current folder."""
    beside = Path(__file__).resolve().parents[1] / "golden"
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
    arrays: dict[str, Array] = {}

    def store(array: Array) -> dict[str, Any]:
        # Keyed by content alone: a reshaped view is the same bytes.
        flat = np.ascontiguousarray(array).ravel()
        digest = hashlib.sha256(flat.tobytes()).hexdigest()
        arrays[digest] = flat
        return {"sha256": digest, "shape": list(array.shape), "dtype": str(array.dtype)}

    manifest = {
        "format": FORMAT,
        "case": asdict(case),
        "command": renew_command(case),
        "reference": expected.reference,
        "environment": expected.environment,
        "weights_sha256": state_hash(expected.state),
        "state": {key: list(array.shape) for key, array in expected.state.items()},
        "buffers": list(expected.buffers),
        "leaves": list(expected.leaves),
        "unmapped": list(expected.unmapped),
        "mix": store(expected.mix),
        "events": [
            {
                **{k: getattr(event, k) for k in ("path", "call", "kind", "owner", "source")},
                "inputs": [store(array) for array in event.inputs],
                "outputs": [store(array) for array in event.outputs],
                "isolated_floors": event.isolated_floors,
                "cumulative_floors": event.cumulative_floors,
            }
            for event in expected.events
        ],
    }
    manifest["manifest_sha256"] = _manifest_hash(manifest)
    with write_whole(folder / f"{case.name}.npz") as temporary:
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]
    path = folder / f"{case.name}.json"
    with write_whole(path) as temporary:
        temporary.write_text(json.dumps(manifest, indent=0) + "\n", encoding="utf-8")
    return path


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
    if manifest["case"] != json.loads(json.dumps(asdict(case))):
        raise ParityError(f"{path} was made for another version of this row: {renew_command(case)}")
    state = seeded_state(manifest["state"].items(), case.seed)
    if manifest["weights_sha256"] != state_hash(state):
        raise ParityError(f"{path} belongs to other weights: {renew_command(case)}")
    arrays = _read_arrays(folder / f"{case.name}.npz", case)
    used: set[str] = set()

    def restore(entry: dict[str, Any]) -> Array:
        array = arrays.get(entry["sha256"])
        if array is None:
            raise ParityError(f"{path}: its NPZ lacks {entry['sha256']}: {renew_command(case)}")
        used.add(entry["sha256"])
        if str(array.dtype) != entry["dtype"]:
            raise ParityError(f"{path}: dtype of {entry['sha256']}: {renew_command(case)}")
        return array.reshape(entry["shape"])

    try:
        events = [
            Event(
                **{
                    **event,
                    "inputs": [restore(entry) for entry in event["inputs"]],
                    "outputs": [restore(entry) for entry in event["outputs"]],
                }
            )
            for event in manifest["events"]
        ]
        mix = restore(manifest["mix"])
    except (KeyError, TypeError, ValueError) as error:
        raise ParityError(f"{path} is damaged ({error}): {renew_command(case)}") from error
    if used != set(arrays):
        raise ParityError(f"{path}: its NPZ has arrays that nothing uses: {renew_command(case)}")
    return Expected(
        reference=manifest["reference"],
        mix=mix,
        events=events,
        state=state,
        buffers=tuple(manifest["buffers"]),
        leaves=tuple(manifest["leaves"]),
        unmapped=tuple(manifest["unmapped"]),
        environment=manifest["environment"],
    )


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


def _read_arrays(path: Path, case: Case) -> dict[str, Array]:
    try:
        # Opened here, because np.load leaves the file open when it is damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ParityError(
            f"{path} is missing, truncated or altered ({error}): {renew_command(case)}"
        ) from error
    for digest, array in arrays.items():
        if hashlib.sha256(array.tobytes()).hexdigest() != digest:
            raise ParityError(f"{path}: array {digest} was altered: {renew_command(case)}")
    return arrays
