"""The fuzzer: a short run of it, and that it finds what it should (`python -m tests.fuzz`)."""

from __future__ import annotations

import argparse
import importlib
import itertools
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from demucs_tf.errors import CheckpointError
from tests.fuzz import run
from tests.fuzz.__main__ import look_after
from tests.fuzz.run import Case, Runner, cases
from tests.fuzz.samples import make_samples
from tests.fuzz.watch import MB
from tests.support.archives import Archive, two_directories


@pytest.fixture(name="runner", scope="module")
def _runner(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    runner = Runner(tmp_path_factory.mktemp("fuzz"))
    runner.warm_up()
    return runner


def test_a_short_run_finds_nothing(runner: Runner) -> None:
    kinds = set()
    start = time.monotonic()
    for case in cases(seed=4):
        outcome = runner.read(case.suffix, case.content)
        assert not outcome.is_finding, (case.number, case.sample, outcome)
        kinds.add((case.sample, outcome.kind))
        if case.number >= 70 and time.monotonic() - start > 3:
            break
    assert {sample for sample, kind in kinds if kind == "refused"} == set(make_samples())
    assert {kind for _, kind in kinds} == {"refused", "model"}


def test_the_same_seed_makes_the_same_files() -> None:
    first = list(itertools.islice(cases(seed=1), 40))
    assert first == list(itertools.islice(cases(seed=1), 40))
    assert first[30] == next(cases(seed=1, start=30))
    other = list(itertools.islice(cases(seed=2), 40))
    assert sum(a.content == b.content for a, b in zip(first, other, strict=True)) < 10


def _crash(path: Path) -> None:
    raise KeyError("x")


def _run_a_process(path: Path) -> None:
    subprocess.run(["true"], check=True)


def _write_a_file(path: Path) -> None:
    path.with_suffix(".other").write_bytes(b"x")


def _import(path: Path) -> None:
    sys.modules.pop("colorsys", None)
    import colorsys  # noqa: F401


def _import_by_name(path: Path) -> None:
    sys.modules.pop("colorsys", None)
    importlib.import_module("colorsys")


def _evaluate(path: Path) -> None:
    eval("1 + 1")


def _take_memory(path: Path) -> None:
    len(b"x" * (300 * MB))


def _run_out_of_memory(path: Path) -> None:
    try:
        raise MemoryError
    except MemoryError as error:
        raise CheckpointError(f"{path}: the file is damaged.") from error


def _two_lines(path: Path) -> None:
    raise CheckpointError(f"{path}: a\nb.")


def _take_long(path: Path) -> None:
    while True:
        try:
            sum(range(1000))
        except Exception:
            continue


def _exit(path: Path) -> None:
    sys.exit(3)


@pytest.mark.parametrize(
    ("reader", "kind"),
    [
        (_crash, "KeyError"),
        (_exit, "SystemExit"),
        (_run_a_process, "event subprocess.Popen"),
        (_write_a_file, "event open"),
        (_import, "event import"),
        (_import_by_name, "event exec"),
        (_evaluate, "event compile"),
        (_take_memory, "memory"),
        (_run_out_of_memory, "MemoryError"),
        (_two_lines, "message"),
        (_take_long, "slow"),
    ],
)
def test_what_a_reader_may_not_do_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: Callable[[Path], Any], kind: str
) -> None:
    if kind == "slow":  # the others may take their time on a busy machine
        monkeypatch.setattr(run, "MAX_SECONDS", 0.5)
    outcome = Runner(tmp_path, {".th": reader}).read(".th", b"x")
    assert outcome.kind == kind
    assert outcome.is_finding


def test_an_archive_with_two_contents_that_is_accepted_is_found(tmp_path: Path) -> None:
    sound = make_samples()["th"].content
    other = Archive.of(sound)
    other.entries[-1].data += b"other"
    runner = Runner(tmp_path, {".th": Path.read_bytes})
    assert runner.read(".th", sound).kind == "model"
    outcome = runner.read(".th", two_directories(sound, other.bytes()))
    assert outcome.kind == "two faces"
    assert outcome.is_finding


def test_a_finding_is_made_smaller(tmp_path: Path) -> None:
    def reader(path: Path) -> None:
        content = path.read_bytes()
        if b"bad" in content and b"!" in content:
            raise KeyError
        raise CheckpointError(f"{path}: no.")

    runner = Runner(tmp_path, {".th": reader})
    case = Case(0, "th", ".th", b"x" * 500 + b"bad" + b"y" * 700 + b"!" + b"z" * 99)
    assert runner.minimised(case, "KeyError") == b"bad!"


_DYING = """
import sys, time
start = int(sys.argv[sys.argv.index("--start") + 1])
print('{"case": %d, "sample": "yaml"}' % start, flush=True)
if start == 0:
    print('{"done": 0, "sample": "yaml", "kind": "refused", "finding": false}', flush=True)
    print('{"case": 1, "sample": "th"}', flush=True)
    sys.exit(7)
if start == 2:
    print('{"done": 2, "sample": "keras", "kind": "slow", "finding": true}', flush=True)
time.sleep(60)
"""


def test_the_command_survives_a_reader_that_dies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_samples()  # kept, so that the time is left for the cases
    options = argparse.Namespace(minutes=4 / 60, seed=0, start=0, findings=tmp_path / "found")
    assert look_after([sys.executable, "-c", _DYING], options) == 1
    said = capsys.readouterr().out
    assert "1 th: died (7)" in said
    assert "2 keras: slow" in said
    assert "3 files, 2 findings" in said
    (kept,) = (tmp_path / "found").iterdir()
    assert kept.read_bytes() == next(cases(seed=0, start=1)).content
