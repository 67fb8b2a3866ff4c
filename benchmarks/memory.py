"""Peak memory of `demucs-tf separate` over the length of a track.

    python benchmarks/memory.py [MINUTES ...] [--options ...]

The model is a small one, so that hours of audio take minutes: what grows with the length would
grow with any model. Each length is a process of its own, and its peak is what the system counted
(ru_maxrss). Temporary files take the place of memory, 350 kB for each second, stem and buffer.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

RATE = 44100
MINUTES = (1, 5, 20, 60, 120)


def main() -> None:
    """Print one line for each length."""
    parser = argparse.ArgumentParser(description="peak memory over the length of a track")
    parser.add_argument("minutes", nargs="*", type=float, default=MINUTES)
    parser.add_argument("--options", default="", help="for `separate`, as one argument")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _save_model(folder / "small.keras")
        print("minutes   peak MB   seconds")
        for minutes in arguments.minutes:
            track = folder / "track.wav"
            _write_noise(track, minutes)
            peak, seconds = _separate(track, folder, arguments.options.split())
            print(f"{minutes:7g} {peak / 1e6:9.0f} {seconds:9.1f}", flush=True)


def _save_model(path: Path) -> None:
    code = (
        "from demucs_tf import DemucsTF\n"
        "names = ['drums', 'bass', 'other', 'vocals']\n"
        "model = DemucsTF(names, channels=4, depth=2, dconv_mode=0, resample=False, segment=8)\n"
        f"model.save({str(path)!r})\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def _write_noise(path: Path, minutes: float) -> None:
    random = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", RATE, 2, "PCM_16") as file:
        for _ in range(round(minutes * 60)):
            file.write(random.standard_normal((RATE, 2), np.float32) * 0.1)


def _separate(track: Path, folder: Path, options: list[str]) -> tuple[float, float]:
    """Bytes and seconds."""
    command = [sys.executable, "-m", "demucs_tf", "separate", str(track), "-n"]
    command += [str(folder / "small.keras"), "-o", str(folder / "stems"), *options]
    start = time.monotonic()
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=quiet, stderr=quiet) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} failed")
    unit = 1 if sys.platform == "darwin" else 1024
    return usage.ru_maxrss * unit, time.monotonic() - start


if __name__ == "__main__":
    main()
