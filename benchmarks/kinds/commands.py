"""Both command lines on one file and one checkpoint: processes that start cold."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile

from benchmarks import models
from benchmarks.kinds import process
from benchmarks.timing import Job, Outcome, Run
from parity.cases.signals import piece
from parity.core.seeding import seed_module

if TYPE_CHECKING:
    from benchmarks.cases import Case
    from benchmarks.kinds import Place

RATE = 44100
SIGNATURE = "be4c4a7b"  # of the model in its folder; any name would do
# So small that an hour takes a minute: what grows with the length would grow with any model.
SMALL: dict[str, Any] = {"channels": 4, "depth": 2, "dconv_mode": 0, "resample": False}
COMMANDS = {"demucs": ["-m", "demucs"], "demucs-tf": ["-m", "demucs_tf", "separate"]}
OPTIONS = ["-d", "cpu", "--shifts", "0", "--float32", "-n", SIGNATURE]


def job(case: Case, place: Place) -> Job:
    """Peak memory is a figure as well; the stems are verified as the files that were written."""
    folder = place.folder / case.options["model"]
    repository(folder, case.options["model"])
    seconds = case.options["seconds"]
    track = place.folder / f"{seconds:g}.wav"
    if not track.exists():
        _write(track, seconds)
    return Job(
        ways={way: partial(_ready, way, folder, track) for way in case.ways},
        against=case.against,
        audio=seconds,
        points=dict.fromkeys(case.ways, seconds / 60) if case.curve else {},
    )


def _ready(way: str, repo: Path, track: Path) -> Run:
    out = track.parent / f"{way}-{track.stem}"
    arguments = [*COMMANDS[way], *OPTIONS, "--repo", str(repo), "-o", str(out), str(track)]
    verified = False

    def run() -> Outcome:
        nonlocal verified
        shutil.rmtree(out, ignore_errors=True)
        done = process.run(arguments)
        arrays = {} if verified else _stems(out / SIGNATURE / track.stem)
        verified = True
        shutil.rmtree(out)
        return Outcome(arrays, {"seconds": done.seconds, "peak": done.peak})

    return run


def _stems(folder: Path) -> dict[str, Any]:
    found = {}
    for path in sorted(folder.glob("*.wav")):
        samples, _ = soundfile.read(path, dtype="float32", always_2d=True)
        found[path.stem] = samples.T
    return found


def _write(track: Path, seconds: float) -> None:
    """Half a minute of the piece, again and again."""
    part = piece(min(seconds, 30)).T.astype(np.float32)
    left = round(seconds * RATE)
    with soundfile.SoundFile(track, "w", RATE, 2, "PCM_16") as file:
        while left > 0:
            file.write(part[:left])
            left -= len(part)


def repository(folder: Path, model: str) -> None:
    """A folder for `--repo`, which the reference's own code writes."""
    from demucs.demucs import Demucs
    from demucs.states import save_with_checksum, serialize_model
    from omegaconf import OmegaConf

    if folder.exists():
        return
    if model == "small":
        module = Demucs(["drums", "bass", "other", "vocals"], segment=8, **SMALL)
        seed_module(module, models.SEED)
    else:
        module = models.reference(model)
    folder.mkdir()
    package = serialize_model(module, OmegaConf.create({}), half=True)
    save_with_checksum(package, folder / f"{SIGNATURE}.th")
