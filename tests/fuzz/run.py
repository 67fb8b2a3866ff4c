"""Reads changed checkpoints and says what is wrong with how they were read."""

from __future__ import annotations

import random
import signal
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demucs_tf.checkpoints.assemble import READERS
from demucs_tf.checkpoints.formats.bag_yaml import read_bag
from demucs_tf.errors import CheckpointError, ModelNotFoundError
from tests.fuzz.mutate import mutated
from tests.fuzz.samples import Sample, entries_of, make_samples
from tests.fuzz.watch import MB, watched
from tests.support.archives import ARCHIVES, as_stated

MAX_SECONDS = 5  # of the processor
MAX_GROWTH = 128 * MB
_TRIES = 400


@dataclass(frozen=True)
class Case:
    """One changed file; the seed and the number make it again."""

    number: int
    sample: str
    suffix: str
    content: bytes


@dataclass(frozen=True)
class Outcome:
    """What became of a file: "model", "refused", or a finding with its details."""

    kind: str
    details: str = ""

    @property
    def is_finding(self) -> bool:
        return self.kind not in ("model", "refused")


class TooSlow(BaseException):
    """Not an Exception: the readers turn those into errors of their own."""


def cases(seed: int, start: int = 0) -> Iterator[Case]:
    """Changed files without end, from number `start`."""
    samples = make_samples()
    names = list(samples)
    everything = list(samples.values())
    number = start
    while True:
        yield _case(seed, number, names[number % len(names)], samples, everything)
        number += 1


def _case(
    seed: int, number: int, name: str, samples: dict[str, Sample], everything: Sequence[Sample]
) -> Case:
    dice = random.Random(f"{seed} {number}")
    sample = samples[name]
    return Case(number, name, sample.suffix, mutated(sample, everything, dice))


class Runner:
    """Reads files one by one and watches."""

    def __init__(self, folder: Path, readers: dict[str, Callable[[Path], Any]] | None = None):
        self.folder = folder
        self.readers = readers or {
            ".yaml": read_bag,
            **{suffix: _reader(suffix) for suffix in READERS},
        }

    def warm_up(self) -> None:
        """Import and trace what any file does; sound files have to be read."""
        for name, sample in make_samples().items():
            for _ in range(2):
                outcome = self.read(sample.suffix, sample.content, watch=False)
                if outcome.kind != "model":
                    raise AssertionError(f"The sound sample {name} is refused: {outcome}")
            self.read(sample.suffix, sample.content[:-9], watch=False)
            self.read(sample.suffix, b"x", watch=False)

    def judge(self, case: Case) -> Outcome:
        """Say what becomes of a file."""
        return self.read(case.suffix, case.content)

    def read(self, suffix: str, content: bytes, watch: bool = True) -> Outcome:
        path = self.folder / f"case{suffix}"
        path.write_bytes(content)
        with warnings.catch_warnings(), watched() as seen:
            warnings.simplefilter("ignore")
            outcome = self._read(path)
        if watch and not outcome.is_finding and seen.events:
            return Outcome(f"event {seen.events[0].partition(' ')[0]}", "\n".join(seen.events))
        if watch and not outcome.is_finding and seen.growth > MAX_GROWTH + 40 * len(content):
            return Outcome("memory", f"grew by {seen.growth // MB} MB")
        if outcome.kind == "model" and suffix in ARCHIVES and not _has_one_face(content):
            return Outcome("two faces", "readers of archives find different contents in it")
        return outcome

    def _read(self, path: Path) -> Outcome:
        try:
            with time_limit(MAX_SECONDS):
                self.readers[path.suffix](path)
        except (CheckpointError, ModelNotFoundError) as error:
            return refusal(error, f"{path}: ")
        except TooSlow:
            return Outcome("slow", traceback.format_exc())
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            return Outcome(type(error).__name__, traceback.format_exc())
        return Outcome("model")

    def minimised(self, case: Case, kind: str) -> bytes:
        """A shorter file with the same finding: chunks are left out while it stays."""
        content, tries = case.content, 0
        size = max(1, len(content) // 2)
        while size and tries < _TRIES:
            at = 0
            while at < len(content) and tries < _TRIES:
                shorter = content[:at] + content[at + size :]
                tries += 1
                if self.read(case.suffix, shorter).kind == kind:
                    content = shorter
                else:
                    at += size
            size //= 2
        return content


def _has_one_face(content: bytes) -> bool:
    """Whether two kinds of readers find the same in an archive that was accepted."""
    try:
        return entries_of(content) == as_stated(content)
    except Exception:  # one of them does not read it at all
        return False


def _reader(suffix: str) -> Callable[[Path], Any]:
    return lambda path: READERS[suffix](path, "float32")


def refusal(error: Exception, start: str = "") -> Outcome:
    """A refusal as it should be, on one line that begins with `start`, or what is wrong with it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError):
            return Outcome("MemoryError", traceback.format_exc())
        cause = cause.__cause__
    message = str(error)
    bad = not message.startswith(start) or not message.isprintable() or len(message) > 10_000
    return Outcome("message", message) if bad else Outcome("refused", message)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TooSlow in the block after so many seconds of the processor."""

    def stop(*_: object) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def new_runner() -> Runner:
    """A runner in a folder of its own, warmed up."""
    runner = Runner(Path(tempfile.mkdtemp(prefix="fuzz-")))
    runner.warm_up()
    return runner
