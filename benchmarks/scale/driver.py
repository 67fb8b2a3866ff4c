"""What a driver and a manifest cost, with tracks that nobody separates."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.scale.songs import resident
from demucs_tf.cluster.job import Job, Row
from demucs_tf.cluster.manifest import DONE, Entry, Manifest, Stem
from demucs_tf.cluster.queue import Outcome, Task, work_off
from demucs_tf.cluster.worker import About, Result

NAMES = ("drums", "bass", "other", "vocals")


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
