"""The fuzzer: a short run of it, and that it finds what it should (`python -m tests.fuzz`)."""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import demucs_tf
from demucs_tf.errors import CheckpointError
from demucs_tf.models.config import CONFIGS
from tests.fuzz import passes, run
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


# Models whose arguments are drawn, and a pass through them


def test_the_same_seed_draws_the_same_models_at_and_beyond_the_edges() -> None:
    drawn = list(itertools.islice(passes.cases(seed=1), 400))
    assert drawn == list(itertools.islice(passes.cases(seed=1), 400))
    assert drawn[130] == next(passes.cases(seed=1, start=130))
    contents = [json.loads(case.content) for case in drawn]
    assert {(each["klass"], each["suffix"]) for each in contents} == {
        (klass, suffix) for klass in CONFIGS for suffix in (*passes.WRITERS, ".yaml")
    }
    assert {name for each in contents for name in each["changes"]} == {
        name for config in CONFIGS.values() for name in config.names()
    }
    depths = {each["changes"].get("depth") for each in contents if "depth" in each["changes"]}
    assert {0, 1, 16, 17} <= {depth for depth in depths if type(depth) is int}


@pytest.mark.parametrize("suffix", [*passes.WRITERS, ".yaml"])
def test_models_at_the_edge_are_separated_with_or_refused(tmp_path: Path, suffix: str) -> None:
    runner = passes.Passes(tmp_path)
    for klass, changes, kind in (
        ("demucs.demucs.Demucs", {"growth": 1, "dconv_depth": 0}, "model"),
        ("demucs.hdemucs.HDemucs", {"hybrid": False, "kernel_size": 3}, "refused"),
        ("demucs.htdemucs.HTDemucs", {"t_heads": 2**31}, "refused"),
    ):
        content = json.dumps({"klass": klass, "suffix": suffix, "seed": 0, "changes": changes})
        assert runner.judge(Case(0, klass, ".json", content.encode())).kind == kind


def _stem(value: float) -> Callable[..., dict[str, Any]]:
    return lambda *_: {"a": np.full((2, 9), value)}


@pytest.mark.parametrize(
    ("separate", "kind"),
    [
        (lambda *_: np.zeros(3)[7], "IndexError"),
        (lambda *_: np.zeros(3).reshape(2, 2), "ValueError"),
        (lambda *_: sys.exit(3), "SystemExit"),
        (lambda *_: _run_out_of_memory(Path("a")), "MemoryError"),
        (lambda *_: _two_lines(Path("a")), "message"),
        (lambda *_: _take_long(Path("a")), "slow"),
        (lambda *_: {"a": np.ones(2**24)}, "memory"),
        (lambda *_: {}, "not finite"),
        (_stem(np.nan), "not finite"),
        (_stem(-np.inf), "not finite"),
    ],
)
def test_what_a_pass_may_not_do_is_found(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    separate: Callable[..., dict[str, Any]],
    kind: str,
) -> None:
    if kind == "slow":
        monkeypatch.setattr(passes, "MAX_SECONDS", 0.5)
    if kind == "memory":
        monkeypatch.setattr(passes, "MAX_GROWTH", 64 * MB)
    runner = passes.Passes(tmp_path, separate)
    drawn = {"klass": "demucs.demucs.Demucs", "suffix": ".safetensors", "seed": 0}
    outcome = runner.judge(Case(0, "Demucs", ".json", json.dumps(drawn).encode()))
    assert outcome.kind == kind
    assert outcome.is_finding


def test_a_model_with_a_finding_keeps_only_the_changes_that_it_takes(tmp_path: Path) -> None:
    def separate(path: Path, settings: dict[str, Any], rate: int) -> dict[str, Any]:
        if demucs_tf.load_model(path).config.lstm_layers and not settings["split"]:
            raise KeyError
        return {"a": np.zeros(2)}

    drawn = {
        "klass": "demucs.demucs.Demucs",
        "suffix": ".safetensors",
        "seed": 0,
        "changes": {"growth": 1.5, "lstm_layers": 1, "context": 0},
        "bag": {},
        "settings": {"split": False, "overlap": 0},
    }
    case = Case(0, "Demucs", ".json", json.dumps(drawn).encode())
    runner = passes.Passes(tmp_path, separate)
    assert runner.judge(case).kind == "KeyError"
    smaller = json.loads(runner.minimised(case, "KeyError"))
    assert smaller["changes"] == {"lstm_layers": 1}
    assert smaller["settings"] == {"split": False}


# The command

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
    options = argparse.Namespace(
        family="files", minutes=4 / 60, seed=0, start=0, findings=tmp_path / "found"
    )
    assert look_after([sys.executable, "-c", _DYING], options) == 1
    said = capsys.readouterr().out
    assert "1 th: died (7)" in said
    assert "2 keras: slow" in said
    assert "3 files, 2 findings" in said
    (kept,) = (tmp_path / "found").iterdir()
    assert kept.read_bytes() == next(cases(seed=0, start=1)).content
