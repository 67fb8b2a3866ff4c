"""What a worker costs: a model that separates songs."""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from demucs_tf.cluster.job import Job, Row
from demucs_tf.cluster.manifest import DONE, Entry
from demucs_tf.cluster.worker import Result, Worker
from demucs_tf.inference.settings import Settings

RATE = 44100


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
