"""The manifest: rows as they come, files that do not pile up, and what is left by a kill."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from demucs_tf.cluster import manifest as module
from demucs_tf.cluster.manifest import Entry, Manifest, Stem
from demucs_tf.cluster.store import StoreError, read_bytes

ENTRY = Entry(
    track="a.wav",
    status="done",
    input_sha256="00",
    input_bytes=12,
    stems=[Stem("drums", "out/drums.wav", "11", 44), Stem("bass", "out/bass.wav")],
    model="htdemucs",
    model_sha256="22",
    settings="{}",
    length=1.5,
    took=0.25,
    node="one",
    attempt=2,
    finished=1.0,
)


def numbered(*numbers: int) -> list[Entry]:
    return [replace(ENTRY, track=str(number)) for number in numbers]


def tracks(manifest: Manifest) -> list[str]:
    return [entry.track for entry in manifest.entries()]


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


@pytest.fixture(params=["path", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "m") if request.param == "path" else f"memory://{tmp_path.name}/m"


def test_rows_come_back_as_they_were(folder: str) -> None:
    failed = Entry(track="b.wav", status="failed", error="no such file")
    manifest = Manifest(folder)
    manifest.add([ENTRY, failed])
    assert list(Manifest(folder).entries()) == [ENTRY, failed]
    manifest.add(numbered(3))
    manifest.compact()
    assert tracks(Manifest(folder)) == ["a.wav", "b.wav", "3"]
    assert len(Manifest(folder).files) == 1


def test_files_are_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART", 3)
    manifest = Manifest(str(tmp_path))
    for number in range(7):
        manifest.add(numbered(number))
    assert len(names(tmp_path)) == 3
    assert tracks(Manifest(str(tmp_path))) == [str(number) for number in range(7)]
    again = Manifest(str(tmp_path))  # after a kill: the last row stays in a file of its own
    again.add(numbered(7, 8))
    again.compact()
    assert tracks(Manifest(str(tmp_path))) == [str(number) for number in range(9)]


def test_a_kill_between_joining_and_removing_leaves_no_row_twice(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = Manifest(folder)
    for number in range(3):
        manifest.add(numbered(number))
    with monkeypatch.context() as patch:
        patch.setattr(module, "remove", lambda *addresses: None)
        manifest.compact()
    assert tracks(Manifest(folder)) == ["0", "1", "2"]
    assert len(Manifest(folder).files) == 1


def test_what_is_done_again_loses_its_row(folder: str) -> None:
    manifest = Manifest(folder)
    manifest.add(numbered(0, 1))
    manifest.add(numbered(2))
    again = Manifest(folder)
    again.review(lambda entry: entry.track == "1")
    again.add(numbered(2))
    assert tracks(again) == tracks(Manifest(folder)) == ["1", "2"]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    Manifest(str(tmp_path)).add([ENTRY])
    [name] = names(tmp_path)
    (tmp_path / name).write_bytes(b"PAR1 and no more")
    with pytest.raises(StoreError, match=rf"{name}: expected a file of this package's manifest"):
        Manifest(str(tmp_path)).review(lambda entry: True)


def test_pandas_reads_it(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    Manifest(str(tmp_path / "m")).add([ENTRY])
    (tmp_path / "m" / ".lock").write_bytes(b"")
    table = pandas.read_parquet(tmp_path / "m")
    assert table["track"].tolist() == ["a.wav"]
    assert table["stems"][0][0]["sha256"] == "11"
    assert read_bytes(str(next((tmp_path / "m").glob("rows*"))))[:4] == b"PAR1"
