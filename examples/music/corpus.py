"""A folder of pieces in MUSDB's layout: `FOLDER/SPLIT/PIECE/{mixture,drums,...}.wav`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import filelock
import soundfile

from examples.music.compose.piece import compose
from examples.music.render.effects import RATE
from examples.music.render.fluidsynth import check_installed
from examples.music.render.mix import render


@dataclass(frozen=True)
class Order:
    """What to write: `pieces` pieces of `seconds` seconds of one split and seed."""

    folder: Path
    split: str
    pieces: int
    seconds: float
    seed: int = 0
    kind: str = "wav"  # or flac

    def __post_init__(self) -> None:
        if self.pieces < 1:
            raise ValueError(f"expected at least one piece, got {self.pieces}")
        if self.kind not in ("wav", "flac"):
            raise ValueError(f"expected wav or flac, got {self.kind!r}")

    def path_of(self, index: int) -> Path:
        return self.folder / self.split / f"{self.split}-{self.seed}-{index:04}"

    def hidden(self, index: int) -> Path:
        """Where a piece grows; `write` removes those of runs that were killed."""
        path = self.path_of(index)
        return path.with_name(f".{path.name}.part")

    def missing(self) -> list[int]:
        """The pieces that are not there yet."""
        return [index for index in range(self.pieces) if not self.path_of(index).is_dir()]


def write(order: Order, jobs: int = 1) -> Iterator[Path]:
    """Write what is missing of an order, and yield each piece's folder once it is whole.

    A piece that is there is left as it is, so an interrupted order goes on where it was.

    Raises:
        MissingProgramError: FluidSynth or a SoundFont is not installed.
        ValueError: an unknown split, or pieces that are too short.
        OSError: the folder can't be written, another process writes there, or the disk is full.
    """
    compose(order.split, order.seed, 0, order.seconds)  # complains before anything is written
    check_installed()
    parent = order.folder / order.split
    parent.mkdir(parents=True, exist_ok=True)
    try:
        held = filelock.FileLock(parent / ".lock").acquire(timeout=0)
    except filelock.Timeout as error:
        raise OSError(f"{parent}: another process writes pieces here; wait for it") from error
    with held:
        for left in parent.glob(".*.part"):
            shutil.rmtree(left)
        yield from _write(order, jobs)


def _write(order: Order, jobs: int) -> Iterator[Path]:
    missing = order.missing()
    if jobs == 1:
        yield from (write_piece(order, index) for index in missing)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        # No more is handed over than can run, so that an error ends the others soon.
        running = {pool.submit(write_piece, order, index) for index in missing[:jobs]}
        waiting = iter(missing[jobs:])
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for task in done:
                yield task.result()
            running |= {pool.submit(write_piece, order, i) for i in islice(waiting, len(done))}


def write_piece(order: Order, index: int) -> Path:
    """Compose, render and write one piece, whole or not at all."""
    stems = render(compose(order.split, order.seed, index, order.seconds))
    hidden = order.hidden(index)
    hidden.mkdir()
    try:
        for name, samples in stems.items():
            soundfile.write(hidden / f"{name}.{order.kind}", samples, RATE, "PCM_16")
        os.rename(hidden, order.path_of(index))
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise
    return order.path_of(index)
