"""What a worker, a driver and a manifest cost."""

from __future__ import annotations

import hashlib
import os
import resource
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from demucs_tf.cluster.job import Job, Row
from demucs_tf.cluster.manifest import DONE, Entry, Manifest, Stem
from demucs_tf.cluster.queue import Outcome, Task, work_off
from demucs_tf.cluster.worker import About, Result, Worker
from demucs_tf.inference.settings import Settings

RATE = 44100
NAMES = ("drums", "bass", "other", "vocals")


def resident() -> float:
    """Megabytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def _song(path: Path, seconds: float, seed: int) -> None:
    """Noise, written in pieces."""
    import soundfile

    generator = np.random.default_rng(seed)
    with soundfile.SoundFile(path, "w", RATE, 2) as file:
        for start in range(0, int(seconds * RATE), 10 * RATE):
            count = min(10 * RATE, int(seconds * RATE) - start)
            file.write(generator.standard_normal((count, 2), dtype=np.float32) * 0.1)


def memory(tracks: int, minutes: float) -> str:
    """Of a worker with a small model: over many tracks, and over a long one."""
    from tests.support.tiny_models import write_tiny

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        repo = write_tiny(folder / "repo", "tiny")
        settings = Settings(seed=0, segment=7.8)  # no track is shorter than a chunk
        job = Job(name="tiny", repo=repo, settings=settings, out=f"{folder}/out")
        worker = Worker(job, "here")
        worker.about()
        held = []
        for number in range(tracks):
            _song(folder / "song.wav", 15 + 5 * (number % 4), number)
            _check(worker.separate(Row(str(folder / "song.wav"), str(number)), 1))
            held.append(resident())
        # The first track makes the graph; the tenth has what a worker keeps.
        grown = held[-1] / held[0] - 1
        lines = [
            f"{tracks} tracks: after the 1st {held[0]:.0f} MB, "
            f"10th {held[min(9, tracks - 1)]:.0f}, last {held[-1]:.0f}: {grown:+.1%}"
        ]
        for length in (minutes / 10, minutes):
            _song(folder / "long.wav", 60 * length, 0)
            peak = [resident()]
            watching = _Watch(peak)
            _check(worker.separate(Row(str(folder / "long.wav")), 1))
            watching.stop()
            lines.append(
                f"a track of {length:g} min: {peak[0]:.0f} MB before, at most {max(peak):.0f}, "
                f"{resident():.0f} after"
            )
        worker.close()
    return "\n".join(lines)


class _Watch:
    """Notes the memory ten times a second."""

    def __init__(self, held: list[float]) -> None:
        from threading import Event, Thread

        self._end = Event()

        def watch() -> None:
            while not self._end.wait(0.1):
                held.append(resident())

        self._thread = Thread(target=watch)
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        self._thread.join()


def _check(result: Result) -> Entry:
    if result.entry.status != DONE:
        raise SystemExit(f"failed: {result.entry.error}")
    return result.entry


def song(preset: str, seconds: float, threads: int | None) -> str:
    """What a song costs with a full-size model: the second one of a worker."""
    from benchmarks.models import port

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        port(preset).save(folder / f"{preset}.keras")
        start = time.monotonic()
        job = Job(name=f"{folder}/{preset}.keras", settings=Settings(seed=0), out=f"{folder}/out")
        worker = Worker(job, "here", threads)
        worker.about()
        loaded = time.monotonic() - start
        for number in range(2):
            _song(folder / "song.wav", seconds, number)
            peak = [resident()]
            watching = _Watch(peak)
            wall, cpu = time.monotonic(), time.process_time()
            entry = _check(worker.separate(Row(str(folder / "song.wav")), 1))
            wall, cpu = time.monotonic() - wall, time.process_time() - cpu
            watching.stop()
        worker.close()
        read, written = entry.input_bytes or 0, sum(stem.bytes or 0 for stem in entry.stems)
    return (
        f"{preset}, {seconds:g} s: loaded in {loaded:.1f} s; {cpu:.1f} core-seconds "
        f"({cpu / seconds:.2f} a second of music), {wall:.1f} s of wall, "
        f"at most {max(peak):.0f} MB, {read / 1e6:.1f} MB read, {written / 1e6:.1f} MB written"
    )


# Tracks that nobody separates.


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _entry(number: int) -> Entry:
    digest = _digest(str(number))
    album = f"{number // 12:06}/{number:08}"
    stems = [
        Stem(name, f"s3://out/htdemucs/{album}/{name}.flac", _digest(f"{name}{number}"), 10**7)
        for name in NAMES
    ]
    entry = Entry(track=f"s3://music/{album}.flac", status=DONE, input_sha256=digest, stems=stems)
    settings = Job(name="htdemucs", out="").described()
    return replace(entry, model="htdemucs", settings=settings, length=200.0, node="a-node-name")


class _Instant:
    """Workers that are done at once."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._tasks: list[Task] = []

    @property
    def busy(self) -> int:
        return len(self._tasks)

    def update(self) -> None: ...

    def rest(self, host: str) -> None: ...

    def idle(self) -> list[int]:
        return list(range(self._count - len(self._tasks)))

    def give(self, slot: int, task: Task) -> None:
        self._tasks.append(task)

    def wait(self, seconds: float) -> list[Outcome]:
        task = self._tasks.pop(0)
        return [Outcome(task, "here", Result(_entry(int(task.row.address))))]


def rows(rows: int) -> str:
    """The real queue and manifest over simulated tracks: memory and time as they go."""
    lines = []
    with tempfile.TemporaryDirectory() as name:
        manifest = Manifest(f"{name}/manifest.parquet")
        count, last, spent = 0, time.monotonic(), time.process_time()

        def finished(entries: list[Entry]) -> None:
            nonlocal count, last, spent
            manifest.add(entries)
            count += len(entries)
            if count % (rows // 10) == 0:
                now, cpu = time.monotonic(), time.process_time()
                each, of_it = ((b - a) / (rows // 10) * 1e3 for a, b in ((last, now), (spent, cpu)))
                last, spent = now, cpu
                lines.append(
                    f"{count} rows: {each:.2f} ms a row, {of_it:.2f} of the processor, "
                    f"{resident():.0f} MB"
                )

        work_off((Row(str(n)) for n in range(rows)), _Instant(8), finished, print)
        files = [Path(each).stat().st_size for each in manifest.files]
        start = time.monotonic()
        manifest.review(lambda entry: True)
        lines.append(
            f"{len(files)} files, {sum(files) / rows:.0f} bytes a row; read again for --resume in "
            f"{time.monotonic() - start:.1f} s"
        )
    return "\n".join(lines)


def cluster(nodes: int, actors: int, rows: int, delay: float) -> str:
    """The real driver and a local Ray of several nodes, with workers that wait."""
    import ray
    from ray.cluster_utils import Cluster

    from demucs_tf.cluster.pool import Pool
    from demucs_tf.cluster.settings import ClusterSettings

    class Waiting:
        def __init__(self, job: Job, node: str, threads: int | None) -> None:
            self.node = node

        def about(self) -> About:
            return About(self.node, list(NAMES), "0")

        def separate(self, row: Row, attempt: int) -> Result:
            time.sleep(delay)
            return Result(Entry(track=row.address, status=DONE, node=self.node))

        def stop(self) -> None: ...

        def close(self) -> None: ...

    head = {"num_cpus": 1, "include_dashboard": False}
    local = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(nodes - 1):
        local.add_node(num_cpus=1)
    ray.init(address=local.address, logging_level="ERROR", log_to_driver=False)
    settings = ClusterSettings(ray="auto", ray_actors=actors)
    checked = [each["NodeID"] for each in ray.nodes()]
    pool = Pool(Job(name="none", out="none"), settings, print, {}, checked, Waiting)
    while pool.actors < nodes * actors:
        pool.update()
        pool.wait(0.5)
    with tempfile.TemporaryDirectory() as name:
        manifest = Manifest(f"{name}/manifest.parquet")
        start, cpu = time.monotonic(), time.process_time()
        tracks: Iterable[Any] = (Row(str(number)) for number in range(rows))
        work_off(tracks, pool, manifest.add, print)
        wall, cpu = time.monotonic() - start, time.process_time() - cpu
    pool.close()
    ray.shutdown()
    local.shutdown()
    ideal = rows * delay / (nodes * actors)
    return (
        f"{nodes} nodes of {actors} workers on {os.cpu_count()} processors, {rows} tracks of "
        f"{delay:g} s: {wall:.1f} s, ideal {ideal:.1f}; {rows / wall:.0f} tracks a second, "
        f"{cpu / rows * 1e3:.2f} ms of the driver's processor a track"
    )
