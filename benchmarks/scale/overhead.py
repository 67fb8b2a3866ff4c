"""The same tracks by the plain command and by `--ray`, in turn, on this machine."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

RATE = 44100


class Turn(NamedTuple):
    """Wall seconds of both, and of that by `--ray` those in which a track was in work."""

    plain: float
    ray: float
    in_work: float


def overhead(preset: str, tracks: int, seconds: float, rounds: int) -> list[Turn]:
    """Time both commands; raises if a byte of their stems differs.

    Both use all processors, one worker, and graphs that a first track has put into a folder.

    Args:
        preset: of the model; its weights are drawn.
        tracks: how many, each of noise of its own.
        seconds: length of a track.
        rounds: how often both take their turn.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = _write(folder, preset, tracks, seconds)
        _run(folder, model, "warm", "songs/0.wav")
        turns = []
        for _ in range(rounds):
            plain = _run(folder, model, "plain", "songs")
            ray = _run(folder, model, "many", "songs", "--ray", f"--ray-threads={os.cpu_count()}")
            turns.append(Turn(plain, ray, _in_work(folder)))
            print(turns[-1], flush=True)
            _compare(folder)
        return turns


def _write(folder: Path, preset: str, tracks: int, seconds: float) -> str:
    import soundfile

    from benchmarks.models import port

    port(preset).save(folder / f"{preset}.keras")
    (folder / "songs").mkdir()
    for number in range(tracks):
        wav = np.random.default_rng(number).standard_normal((int(seconds * RATE), 2)) * 0.1
        soundfile.write(folder / "songs" / f"{number}.wav", wav, RATE)
    return str(folder / f"{preset}.keras")


def _run(folder: Path, model: str, out: str, *arguments: str) -> float:
    command = [sys.executable, "-m", "demucs_tf", "separate", *arguments]
    environment = {**os.environ, "DEMUCS_TF_CACHE": str(folder / "cache")}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    # Ray's workers give way to all others, which on a busy machine is not what is measured.
    environment["RAY_worker_niceness"] = str(os.nice(0))
    start = time.monotonic()
    subprocess.run(
        [*command, "-n", model, "-o", out, "--seed", "0"],
        cwd=folder,
        env=environment,
        check=True,
        capture_output=True,
    )
    return time.monotonic() - start


def _in_work(folder: Path) -> float:
    from demucs_tf.cluster.manifest import FOLDER, Manifest

    [manifest] = (folder / "many").glob(f"*/{FOLDER}")
    return sum(entry.took for entry in Manifest(str(manifest)).entries())


def _compare(folder: Path) -> None:
    for path in sorted((folder / "plain").rglob("*.wav")):
        other = folder / "many" / path.relative_to(folder / "plain")
        if path.read_bytes() != other.read_bytes():
            raise SystemExit(f"{other} differs from {path}")


def told(turns: list[Turn]) -> str:
    """The figures as lines."""
    lines = [f"plain {t.plain:.1f} s, --ray {t.ray:.1f} s (in work {t.in_work:.1f})" for t in turns]
    ratio = statistics.median(t.ray / t.plain for t in turns)
    return "\n".join([*lines, f"median ratio {ratio:.3f}"])
