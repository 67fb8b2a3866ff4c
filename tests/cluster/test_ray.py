"""A real Ray on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray

from demucs_tf.cli.main import main
from demucs_tf.cluster import separate_tracks
from demucs_tf.cluster.api import folder_of, separate_rows
from demucs_tf.cluster.job import Job, Row
from demucs_tf.cluster.manifest import Entry
from demucs_tf.cluster.rows import gather
from demucs_tf.cluster.settings import ClusterSettings
from demucs_tf.cluster.worker import Worker
from demucs_tf.errors import UsageError
from demucs_tf.inference.settings import Settings
from tests.support.command import SOURCES, files, run

OPTIONS = ("-n", "tiny", "--seed", "3")
TWO = ClusterSettings(ray="local", ray_actors=2)
RATE = 44100


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        # Ray's workers would give way to all else that runs beside the tests.
        patch.setenv("RAY_worker_niceness", str(os.nice(0)))
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            logging_level="ERROR",
            log_to_driver=False,
        )
        yield
        ray.shutdown()


def stems(folder: str) -> dict[str, bytes]:
    return {name: Path(folder, name).read_bytes() for name in files(folder) if name[-4:] == ".wav"}


def test_the_command_writes_and_says_what_it_does_without_ray(
    album: Path, repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("album", *OPTIONS, "--repo", repo, "-o", "plain", status=1)
    plain = capsys.readouterr()
    run("album", *OPTIONS, "--repo", repo, "-o", "many", "--ray", status=1)
    many = capsys.readouterr()
    assert stems("many") == stems("plain")
    assert len(stems("many")) == 12
    assert sorted(many.out.split()) == sorted(plain.out.replace("plain", "many").split())
    [error] = [line for line in plain.err.splitlines() if line.startswith("error: ")]
    assert error.replace("album", str(album)) in many.err
    assert "4 tracks: 3 done, 1 failed" in many.err
    assert "4/4" in many.err
    assert "1 failed" in many.err

    before = {path: path.stat().st_mtime_ns for path in Path("many").rglob("*.wav")}
    Path("album/c.wav").unlink()
    run("album", "no", *OPTIONS, "--repo", repo, "-o", "many", "--ray", "--resume", status=1)
    again = capsys.readouterr()
    assert again.out == ""
    assert "Done already: 3 of 4 tracks" in again.err
    assert "no: no such file" in again.err
    assert before == {path: path.stat().st_mtime_ns for path in Path("many").rglob("*.wav")}

    changed = ["separate", "album", *OPTIONS, "--repo", str(repo), "-o", "many", "--ray"]
    assert main([*changed, "--resume", "--shifts", "2"]) == 1
    assert "was separated with other settings" in capsys.readouterr().err


def test_a_worker_that_dies_of_a_track(album: Path, repo: Path) -> None:
    class Poisoned(Worker):
        """Sent by value: its nodes do not have the tests."""

        def separate(self, row: Row, attempt: int) -> Any:
            if row.address.endswith("c.wav") or (row.address.endswith("b.flac") and attempt == 1):
                os._exit(1)
            return super().separate(row, attempt)

    job = Job(name="tiny", repo=repo, settings=Settings(seed=3), out=folder_of("out", "tiny"))
    entries: list[Entry] = []
    said: list[str] = []
    separate_rows(gather(["album"]), job, TWO, entries.extend, said.append, worker=Poisoned)
    found = {Path(entry.track).name: entry for entry in entries if "two" not in entry.track}
    assert len(entries) == 4
    assert found["b.flac"].status == "done"
    assert found["b.flac"].attempt == 2
    assert found["c.wav"].status == "failed"
    assert "its worker died 3 times" in str(found["c.wav"].error)
    assert sum("its worker died on" in line for line in said) == 3
    run("album/a.wav", "album/b.flac", *OPTIONS, "--repo", repo, "-o", "plain")
    assert {name: stems("out")[name] for name in stems("plain")} == stems("plain")
    assert not [name for name in files("out") if ".in-progress" in name]


def test_a_dataset_of_results(album: Path, repo: Path) -> None:
    data = separate_tracks(["album"], "tiny", "out", repo=repo, seed=3, ray_threads=2)
    rows = {Path(row["track"]).name: row for row in data.take_all()}
    assert {name: row["status"] for name, row in rows.items()} == {
        "a.wav": "done",
        "b.flac": "done",
        "c.wav": "failed",
    }
    assert [stem["name"] for stem in rows["b.flac"]["stems"]] == SOURCES
    assert rows["b.flac"]["length"] == 1.0
    assert data.count() == 4


def test_what_is_wrong_is_said_before_any_work(
    album: Path, repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(said: str, *arguments: str, status: int = 1) -> None:
        try:
            found = main(["separate", *arguments, "--repo", str(repo), "--ray"])
        except SystemExit as end:
            found = int(str(end.code))
        assert found == status
        assert said in " ".join(capsys.readouterr().err.split())

    refused("no model", "album", "-n", "none")
    refused("no worker can be started", "album", "-n", "tiny", "--ray-gpus", "1")
    assert not stems(str(album.parent / "separated"))
    with pytest.raises(UsageError, match="would both be written to"):
        separate_tracks(["album"], "tiny", "out", repo=repo, filename="{track}/{stem}.{ext}")
