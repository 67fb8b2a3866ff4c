"""Three nodes, of which one is killed, and a worker, a driver, and one track that kills workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile
from ray.cluster_utils import Cluster

from demucs_tf.cluster.manifest import FOLDER, Manifest
from tests.support.command import files, run
from tests.support.fakes import noise

pytestmark = pytest.mark.cluster
RATE, TRACKS, SECONDS = 44100, 24, 20
ROOT = Path(__file__).parents[2]


@pytest.fixture
def nodes() -> Iterator[tuple[Cluster, list[Any]]]:
    """A cluster of a head, which stays, and two others."""
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    yield cluster, [cluster.add_node(num_cpus=1) for _ in range(2)]
    cluster.shutdown()


@pytest.fixture
def songs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("songs", "starts"):
        (tmp_path / name).mkdir()
    for seed in range(TRACKS):
        name = "poison" if seed == 5 else f"song{seed:02}"
        wav = noise(2, SECONDS * RATE, seed=seed).T
        soundfile.write(tmp_path / "songs" / f"{name}.wav", wav, RATE)
    return tmp_path


class Driver:
    """The driver in a process, with its output in a file."""

    def __init__(self, cluster: Cluster, repo: Path, folder: Path, *more: str) -> None:
        command = [sys.executable, "-m", "tests.cluster.driver", cluster.address, str(repo)]
        self._out = folder / f"out{len(list(folder.glob('out*')))}"
        self._err = self._out.with_suffix(".err")
        with self._out.open("w") as out, self._err.open("w") as err:
            self.process = subprocess.Popen(
                [*command, str(folder), *more], stdout=out, stderr=err, cwd=ROOT
            )

    @property
    def done(self) -> list[str]:
        """What it has printed, without what Ray has to say."""
        ends = (" done", " failed", " found")
        return [line for line in self._out.read_text().splitlines() if line.endswith(ends)]

    def wait(self, until: Callable[[], bool], seconds: float = 200) -> None:
        end = time.monotonic() + seconds
        while not until():
            assert self.process.poll() is None, self._err.read_text()
            assert time.monotonic() < end, (self.done, self._err.read_text())
            time.sleep(0.05)


def starts(folder: Path) -> dict[str, list[str]]:
    """For each track its attempts, as they began."""
    found: dict[str, list[str]] = {}
    for path in sorted((folder / "starts").iterdir(), key=lambda path: path.stat().st_mtime_ns):
        track, attempt, process = path.name.split(" ")
        found.setdefault(track, []).append(f"{attempt} {process}")
    return found


def in_work(folder: Path, done: list[str]) -> dict[str, int]:
    """The tracks that have begun and not ended, with their processes."""
    ended = {line.split()[0] for line in done}
    return {
        track: int(attempts[-1].split()[1])
        for track, attempts in starts(folder).items()
        if track not in ended and track != "poison"
    }


def test_deaths_of_a_node_a_worker_a_track_and_the_driver(
    nodes: tuple[Cluster, list[Any]], songs: Path, repo: Path
) -> None:
    cluster, others = nodes
    run("songs", "-n", "tiny", "--repo", repo, "--seed", "3", "-o", "plain")
    plain = {name: (songs / "plain" / name).read_bytes() for name in files("plain")}
    driver = Driver(cluster, repo, songs)
    interrupted: set[str] = set()

    driver.wait(lambda: len(driver.done) >= 3 and bool(in_work(songs, driver.done)))
    flying = in_work(songs, driver.done)
    interrupted |= set(flying)
    os.kill(list(flying.values())[-1], signal.SIGKILL)

    driver.wait(lambda: len(driver.done) >= 7)
    interrupted |= set(in_work(songs, driver.done))
    cluster.remove_node(others[0], allow_graceful=False)
    interrupted |= set(in_work(songs, driver.done))

    driver.wait(lambda: len(driver.done) >= 14)
    driver.process.kill()
    driver.process.wait()
    written = {Path(e.track).stem for e in Manifest(str(songs / f"many/tiny/{FOLDER}")).entries()}
    assert {line.split()[0] for line in driver.done} <= written, "a row is there before it is told"
    interrupted |= set(in_work(songs, driver.done))
    before = starts(songs)

    again = Driver(cluster, repo, songs, "--resume")
    assert again.process.wait(300) == 0, again._err.read_text()
    entries = list(Manifest(str(songs / f"many/tiny/{FOLDER}")).entries())
    names = [Path(entry.track).stem for entry in entries]
    assert sorted(names) == sorted(path.stem for path in (songs / "songs").iterdir()), "one each"
    bad = {Path(e.track).stem: e.error for e in entries if e.status == "failed"}
    assert list(bad) == ["poison"]
    assert "its worker died 3 times" in str(bad["poison"])

    many = {name: (songs / "many" / name).read_bytes() for name in files(songs / "many")}
    stems = {name: data for name, data in many.items() if name.endswith(".wav")}
    assert stems == {name: data for name, data in plain.items() if "poison" not in name}
    assert len(stems) == 4 * (TRACKS - 1)
    assert not [name for name in many if ".in-progress" in name]

    after = starts(songs)
    twice = {track for track, attempts in after.items() if len(attempts) > 1} - {"poison"}
    assert twice <= interrupted
    done = written - {"poison"}
    assert {track: after[track] for track in done} == {track: before[track] for track in done}


@pytest.mark.usefixtures("sigint_heard")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_it_cleanly(
    number: signal.Signals, status: int, songs: Path, repo: Path
) -> None:
    """The command, with a Ray of its own; what was done before is in the manifest."""
    command = [sys.executable, "-m", "demucs_tf", "separate", "songs", "-n", "tiny"]
    command += ["--repo", str(repo), "--shifts", "30", "-o", "many", "--ray"]
    pipe = subprocess.PIPE
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == status, err
    assert "Traceback" not in err
    assert number != signal.SIGINT or err.splitlines()[-1] == "interrupted"
    entries = list(Manifest(f"many/tiny/{FOLDER}").entries())
    assert 1 <= len(entries) < TRACKS
    written = sorted(os.path.relpath(stem.address, "many") for e in entries for stem in e.stems)
    assert written == [name for name in files("many") if name.endswith(".wav")]
    assert not [name for name in files("many") if ".in-progress" in name]
