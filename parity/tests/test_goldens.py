"""Goldens: all used, none altered, small enough, and refused by name when they are damaged."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parity.cases import BY_NAME, IN_REPOSITORY, Case
from parity.core.files import numbers
from parity.core.files.changes import changes
from parity.core.result import ParityError
from parity.run import SUITE, golden_folder, stored_expected

CASE = BY_NAME["demucs-dconv0"]
LIMIT_BYTES = 20 * 2**20


def test_every_golden_belongs_to_a_case() -> None:
    wanted = {f"{case.name}{suffix}" for case in IN_REPOSITORY for suffix in (".json", ".npz")}
    found = {path.name for path in golden_folder().glob("*.*") if path.suffix != ".md"}
    assert found == wanted | {"baseline.json", "calibration.json"}


def test_goldens_stay_small() -> None:
    size = sum(path.stat().st_size for path in golden_folder().rglob("*.*"))
    assert size <= LIMIT_BYTES


@pytest.mark.parametrize("case", IN_REPOSITORY, ids=lambda case: case.name)
def test_manifest_says_how_it_was_made(case: Case) -> None:
    manifest = SUITE.golden(case).manifest()
    assert manifest["command"] == f"python -m parity capture --case {case.name}"
    assert manifest["environment"]["demucs"] == "4.1.0"
    assert manifest["environment"]["torch"]
    assert manifest["environment"]["seed"] == case.seed
    assert not manifest["unmapped"]
    for event in manifest["events"]:
        assert len(event["isolated_floors"]) == len(event["outputs"])
        assert len(event["cumulative_floors"]) == len(event["outputs"])


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for suffix in (".json", ".npz"):
        shutil.copy(golden_folder() / f"{CASE.name}{suffix}", tmp_path)
    return tmp_path


def _read(folder: Path) -> None:
    SUITE.golden(CASE, folder).read()


def test_an_intact_copy_is_read(copy: Path) -> None:
    _read(copy)


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.999])
def test_truncated_arrays_are_refused(copy: Path, keep: float) -> None:
    path = copy / f"{CASE.name}.npz"
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])
    with pytest.raises(ParityError, match=r"demucs-dconv0\.npz .*capture --case demucs-dconv0"):
        _read(copy)


def test_a_long_row_lies_in_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, row = tmp_path / "it.json", numbers.Row()
    wanted = np.random.RandomState(0).randn(25)
    row.store(wanted)
    monkeypatch.setattr(numbers, "_MOST", 10)
    numbers.write(path, {"events": []}, row, "events")
    names = ["it.2.npz", "it.3.npz", "it.json", "it.npz"]
    assert sorted(each.name for each in tmp_path.iterdir()) == names
    assert {numbers.whole_name(name) for name in names} == {"it.npz", "it.json"}
    assert np.array_equal(numbers.read_row(path), wanted)
    (tmp_path / "it.3.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"it\.3\.npz is missing, truncated or altered"):
        numbers.read_row(path)
    monkeypatch.setattr(numbers, "_MOST", 100)
    numbers.write(path, {"events": []}, row, "events")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["it.json", "it.npz"]


class _Run:
    """What a pickle may do: create the file that it names."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("bare", [True, False], ids=["bare", "in the archive"])
def test_a_pickle_is_refused_and_not_run(copy: Path, bare: bool, tmp_path: Path) -> None:
    path, trace = copy / f"{CASE.name}.npz", tmp_path / "ran"
    if bare:
        path.write_bytes(pickle.dumps(_Run(trace)))
    else:
        np.savez(path, numbers=np.array([_Run(trace)], object))
    with pytest.raises(ParityError, match=r"demucs-dconv0\.npz .*capture --case demucs-dconv0"):
        _read(copy)
    assert not trace.exists()


def test_an_altered_number_is_refused(copy: Path) -> None:
    path = copy / f"{CASE.name}.npz"
    with np.load(path) as archive:
        row = archive["numbers"]
    row[3] = np.nextafter(row[3], 9)
    np.savez_compressed(path, numbers=row)
    with pytest.raises(ParityError, match="numbers in its NPZ were altered"):
        _read(copy)


def _write_signed(path: Path, manifest: dict[str, Any]) -> None:
    manifest["manifest_sha256"] = numbers.manifest_hash(manifest)
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize("key", ["leaves", "environment", "isolated_floors", "source"])
def test_an_altered_manifest_is_refused(copy: Path, key: str) -> None:
    """Floors are tolerances: whoever widens one in the file is noticed."""
    path = copy / f"{CASE.name}.json"
    manifest = json.loads(path.read_text())
    if key in manifest:
        manifest[key] = type(manifest[key])()
    else:
        manifest["events"][3][key] = [1e6] if key.endswith("floors") else "nowhere:0"
    path.write_text(json.dumps(manifest))
    with pytest.raises(ParityError, match=r"demucs-dconv0\.json is damaged \(it was altered\)"):
        _read(copy)


def test_numbers_that_nothing_uses_are_refused(copy: Path) -> None:
    path = copy / f"{CASE.name}.json"
    manifest = json.loads(path.read_text())
    # The output of one layer is the input of the next; point both elsewhere.
    conv = next(e for e in manifest["events"] if e["path"] == "encoder.0.0")
    kept = [e for e in manifest["events"] if e["path"] not in ("encoder.0.0", "encoder.0.1")]
    after = next(e for e in kept if e["path"] == "encoder.0.2")
    after["inputs"] = after["outputs"]
    assert conv["outputs"] not in [e["inputs"] for e in kept]
    manifest["events"] = kept
    _write_signed(path, manifest)
    with pytest.raises(ParityError, match="numbers that nothing uses"):
        _read(copy)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", 0, "is damaged"),
        ("case", {}, "another version of this row"),
        ("weights_sha256", "0", "belongs to other weights"),
    ],
)
def test_a_golden_of_something_else_is_refused(
    copy: Path, key: str, value: object, message: str
) -> None:
    path = copy / f"{CASE.name}.json"
    manifest = json.loads(path.read_text())
    manifest[key] = value
    _write_signed(path, manifest)
    with pytest.raises(ParityError, match=message):
        _read(copy)


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_what_is_no_file_is_refused(copy: Path, suffix: str) -> None:
    """At once: a pipe would be waited for, and a device never ends."""
    path = copy / f"{CASE.name}{suffix}"
    for make in (os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")):
        path.unlink()
        make(path)
        with pytest.raises(ParityError, match="expected a file, found a folder, a pipe or a devi"):
            _read(copy)
        path.rmdir() if path.is_dir() else path.unlink()
        path.touch()


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[]", "1", '"format"', "{}"])
def test_a_manifest_of_something_else_is_refused(copy: Path, text: str) -> None:
    (copy / f"{CASE.name}.json").write_text(text)
    with pytest.raises(ParityError, match=r"demucs-dconv0\.json is damaged"):
        _read(copy)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("state", []), ("state", {"a": "b"}), ("state", {"a": [1e9]}), ("events", 1),
        ("events", {"path": 1}), ("mix", "abc"), ("mix", [0, "?!", 1]), ("buffers", [1]),
        ("leaves", None), ("environment", []), ("reference", 1),
        ("path", 1), ("call", "0"), ("owner", []), ("source", None), ("inputs", 1),
        ("outputs", [["0", "d", 1]]), ("isolated_floors", ["much"]), ("cumulative_floors", [None]),
        ("isolated_floors", []), ("arguments", 1), ("surplus", 1),
    ],
)  # fmt: skip
def test_a_wrong_type_in_a_manifest_is_refused(copy: Path, key: str, value: object) -> None:
    """With a right hash: whoever wrote it says that it is a golden."""
    path = copy / f"{CASE.name}.json"
    manifest = json.loads(path.read_text())
    (manifest if key in manifest else manifest["events"][3])[key] = value
    _write_signed(path, manifest)
    with pytest.raises(ParityError, match=r"demucs-dconv0\.json (is damaged|belongs to other)"):
        _read(copy)


def test_a_missing_golden_is_named(tmp_path: Path) -> None:
    with pytest.raises(ParityError, match=r"demucs-dconv0\.json is missing"):
        _read(tmp_path)


@pytest.mark.parametrize(
    ("floor", "off", "same"),
    [(1e-7, 5e-14, True), (1e-7, 3e-13, False), (1e-4, 3e-13, True), (1e-4, 5e-13, False)],
)
def test_another_processor_may_move_what_is_ill_conditioned(
    floor: float, off: float, same: bool
) -> None:
    """By what float64 is off there on either side; anything else agrees to 1e-13."""
    expected = stored_expected(BY_NAME["demucs-dconv0"])
    event = expected.events[-1]
    kept = replace(event, cumulative_floors=[floor])
    moved = replace(kept, outputs=[event.outputs[0] * (1 + off)])
    old, new = (replace(expected, events=[*expected.events[:-1], each]) for each in (kept, moved))
    assert (changes(old, new) == []) is same
