"""`python -m parity` as a developer meets it: what it prints, and its exit status."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace as Namespace
from typing import Any

import pytest

from parity import run, select
from parity.__main__ import main
from parity.cases import BY_NAME, Case, signals
from parity.commands.outputs import Progress
from parity.core import result
from parity.core.files import atomic
from parity.core.guards import gate
from parity.faults import FAULTS
from tests.parity.conftest import Call
from tests.parity.test_report import record
from tests.parity.test_report import result as report_result

ROOT = Path(__file__).parent.parent.parent
DCONV0 = ("--case", "demucs-dconv0", "--dtype", "float64", "--mode", "isolated")
# One second of silence at 44.1 kHz, mono, 16 bit.
WAV = (
    b"RIFF" + (36 + 88200).to_bytes(4, "little") + b"WAVEfmt " + b"\x10\0\0\0\1\0\1\0"
    + (44100).to_bytes(4, "little") + (88200).to_bytes(4, "little") + b"\2\0\x10\0"
    + b"data" + (88200).to_bytes(4, "little") + bytes(88200)
)  # fmt: skip
SAMPLE = report_result(
    record(dtype="float64"), record(dtype="float64", mode="cumulative"),
    case="demucs-dconv0", dtype="float64",
)  # fmt: skip


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Comparing anything is a failure of the test."""

    def fail(*_: object, **__: object) -> None:
        pytest.fail("work was done")

    monkeypatch.setattr(run, "run_case", fail)
    monkeypatch.setattr(run, "live_expected", fail)


@pytest.fixture
def reference_is_golden(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--live` without torch: the golden in place of the running reference."""
    monkeypatch.setattr(run, "live_expected", run.stored_expected)
    monkeypatch.setitem(vars(run.SUITE), "live_expected", run.stored_expected)


def test_pass(call: Call, tmp_path: Path) -> None:
    out, _ = call("run", *DCONV0, "--json", tmp_path / "r.json", "--html", tmp_path / "r.html")
    assert out.startswith("PASS  demucs-dconv0  float64")
    assert "1 passed, 0 failed" in out
    assert result.read_json(tmp_path / "r.json")[0].verdict == "pass"
    assert "demucs-dconv0" in (tmp_path / "r.html").read_text()


def test_verbose(capsys: pytest.CaptureFixture[str]) -> None:
    """The arguments and the numbers of a passing case, and on stderr what it is at."""
    assert main(["run", *DCONV0, "-v"]) == 0
    out, err = capsys.readouterr()
    lines = [line.split() for line in out.splitlines()]
    assert lines[0][:3] == ["argument", "reference", "port"]
    assert ["channels", "4", "4", "64", "64"] in lines
    numbers = next(i for i, line in enumerate(lines) if line[0] == "PASS")
    assert lines[numbers + 1][:4] == ["kind", "mode", "rel_l2", "tolerance"]
    (row,) = [line for line in lines if line[0] == "ConvTranspose1d"]
    assert row[1] == "isolated"
    assert 0 < float(row[2]) <= float(row[3]) <= 1e-12
    assert out.endswith("1 passed, 0 failed\n")
    calls = len(run.stored_expected(BY_NAME["demucs-dconv0"]).events)
    stages = [line.partition(" (")[0] for line in err.splitlines()]
    assert stages == [
        "port: steps and leaves in float64",
        f"port: alone in float64, call 1 of {calls}",
    ]


def test_progress_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that changes, after a second, and is gone before anything is printed."""
    clock = iter([0.0, 0.5, 7.0, 8.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    progress = Progress()
    for text in ("at once", "layer 3 of 7"):
        progress(text)
    assert capsys.readouterr().err == "\r\x1b[Klayer 3 of 7 (7 s)"
    progress.clear()
    assert capsys.readouterr().err == "\r\x1b[K"


def test_failures_by_their_root(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = record("encoder.0.2", module_class="GELU", verdict="fail", source="torch/nn/m.py:1")
    failed = [report_result(wrong, case=f"c{i}") for i in range(3)]
    monkeypatch.setattr(run, "run_cases", lambda *_, **__: failed)
    out, _ = call("run", *DCONV0, status=1)
    assert "3 failures have 1 root:\n  3 of GELU, torch/nn/m.py:1; port: demucs_tf/layers/" in out
    assert out.endswith("    c0, c1, c2\n0 passed, 3 failed\n")


def test_divergence(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    fault = next(fault for fault in FAULTS if fault.name == "gelu-tanh")
    monkeypatch.setattr(fault.owner, fault.attribute, fault.replacement)
    out, _ = call("run", *DCONV0, status=1)
    assert "first divergence: encoder.0.2 (GELU), torch/nn/modules/activation.py:" in out
    assert "; port: demucs_tf/layers/activation.py:" in out
    assert "0 passed, 1 failed" in out


def test_an_engine(call: Call) -> None:
    out, _ = call("run", *DCONV0[:4], "--mode", "cumulative", "--engine", "graph")
    assert "1 passed, 0 failed" in out


# What cannot run.


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("live", [(), ("--live",)])
def test_a_named_case_that_cannot_run(
    call: Call, monkeypatch: pytest.MonkeyPatch, live: tuple[str, ...]
) -> None:
    monkeypatch.setattr(signals, "music_file", lambda: None)
    _, err = call("run", "--case", "demucs-music", *DCONV0, *live, status=2)
    assert err.startswith("error: demucs-music cannot run: it ")
    assert ("PARITY_AUDIO" if live else "--live") in err


@pytest.mark.usefixtures("reference_is_golden")
@pytest.mark.parametrize("live", [(), ("--live",)])
def test_a_case_that_cannot_run_is_said(
    call: Call, monkeypatch: pytest.MonkeyPatch, live: tuple[str, ...]
) -> None:
    monkeypatch.setattr(signals, "music_file", lambda: None)
    rows = (BY_NAME["demucs-music"], BY_NAME["demucs-dconv0"])
    monkeypatch.setattr(select, "CASES", rows)
    out, _ = call("run", *DCONV0[2:], *live)
    assert "not run: demucs-music (it " in out
    assert "1 passed, 0 failed" in out
    monkeypatch.setattr(select, "CASES", rows[:1])
    _, err = call("run", *DCONV0[2:], *live, status=2)
    assert err == "error: Nothing was compared: no case fits.\n"


@pytest.mark.usefixtures("no_work", "reference_is_golden")
@pytest.mark.parametrize("live", [(), ("--live",)])
def test_nothing_fits(call: Call, live: tuple[str, ...]) -> None:
    _, err = call("run", *DCONV0, *live, "-k", "lstm and attention", status=2)
    assert err == "error: Nothing was compared: no case fits.\n"


def test_a_call_that_the_port_lacks_is_no_pass(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its record is missing, so nothing is left of the result; but it fits, and it fails."""
    from parity.core.capture import port, recorders

    whole = port.isolated

    def without(
        subject: Any, port: Any, expected: Any, take: recorders.Take, **options: Any
    ) -> None:
        def but(key: Any, outputs: Any) -> None:
            if key[0] != "encoder.0.1":
                take(key, outputs)

        whole(subject, port, expected, but, **options)

    monkeypatch.setattr(port, "isolated", without)
    out, _ = call("run", *DCONV0, "-k", "encoder.0.1-", status=1)
    assert "not compared: encoder.0.1 call 0" in out


def test_parameters_fit(call: Call, tmp_path: Path) -> None:
    call("run", *DCONV0, "-k", "bias", "--json", tmp_path / "r.json")
    records = result.read_json(tmp_path / "r.json")[0].layers
    keys = [key for key in run.stored_expected(BY_NAME["demucs-dconv0"]).state if "bias" in key]
    assert [record.path for record in records] == keys != []
    assert {record.kind for record in records} == {"parameter"}
    call("run", *DCONV0, "-k", "Conv1d", "--json", tmp_path / "r.json")  # a parameter has no class
    records = result.read_json(tmp_path / "r.json")[0].layers
    assert {(record.kind, record.module_class) for record in records} == {("module", "Conv1d")}


# Wrong usage, and files that cannot be read or written.


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--case", "nobody"), "No case nobody."),
        ((*DCONV0, "-k", "("), "is no expression"),
        ((*DCONV0, "-k", "(a)(b)"), "is no expression"),
        ((*DCONV0, "--engine", "xla"), "--engine is how the cumulative pass runs"),
        ((*DCONV0, "--golden", "/nonexistent"), "/nonexistent/demucs-dconv0.json is missing"),
        ((*DCONV0, "--json", "/nonexistent/r.json"), "there is no folder /nonexistent"),
        ((*DCONV0, "--html", "/nonexistent/r.html"), "there is no folder /nonexistent"),
        ((*DCONV0, "--json", "/"), "expected a file, found a folder"),
        ((*DCONV0, "--seconds", "-1"), "--seconds is how much of --audio is heard"),
        ((*DCONV0, "--seconds", "5"), "it needs --checkpoint"),
        (("--checkpoint", "/nonexistent.th"), "--checkpoint and --audio go together"),
        (
            ("--checkpoint", "/nonexistent.th", "--audio", "/nonexistent.wav"),
            "/nonexistent.th: no such file",
        ),
        *(
            (
                ("--checkpoint", "a.th", "--audio", "a.wav", "--seconds", seconds),
                "--seconds: expected a number above 0",
            )
            for seconds in ("0", "-1", "nan", "inf")
        ),
        (
            ("--checkpoint", "a.keras", "--audio", "a.wav"),
            "expected a .th or .safetensors file, found a.keras",
        ),
    ],
)
def test_wrong_usage(
    call: Call, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    if "--golden" in arguments:  # the golden is read inside of it

        def read_golden(case: Case, _: str, folder: Path, **__: object) -> None:
            run.stored_expected(case, folder)

        monkeypatch.setattr(run, "run_case", read_golden)
    _, err = call("run", *arguments, status=2)
    assert err.startswith("error: ")
    assert message in err


@pytest.mark.parametrize(
    ("audio", "seconds", "message"),
    [
        (b"no audio", "1", "expected WAV, FLAC, OGG or MP3 audio"),
        (WAV, "1e-9", "--seconds: 1e-09 s is less than one sample at 44100 Hz."),
    ],
)
def test_unusable_audio(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, audio: bytes, seconds: str,
    message: str,
) -> None:  # fmt: skip
    module = Namespace(samplerate=44100, audio_channels=2)
    monkeypatch.setattr(run, "both_sides", lambda *_: ({}, module))
    (tmp_path / "a.wav").write_bytes(audio)
    own = ("--checkpoint", "a.th", "--audio", tmp_path / "a.wav", "--seconds", seconds)
    _, err = call("run", *own, status=2)
    assert message in err


@pytest.mark.parametrize("arguments", [(), ("run", "--mode", "odd"), ("gate",)])
def test_argparse(arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as error:
        main(arguments)
    assert error.value.code == 2


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "No space left on device): make room, or name a file on another disk."),
        (errno.EROFS, "Read-only file system): name a file elsewhere."),
    ],
)
def test_a_file_that_cannot_be_written(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int, reason: str
) -> None:
    def write(*_: object) -> None:
        raise OSError(number, os.strerror(number), ".r-0123.part")

    monkeypatch.setattr(atomic.os, "replace", write)
    monkeypatch.setattr(run, "run_cases", lambda *_, **__: [SAMPLE])
    path, baseline = tmp_path / "r.json", tmp_path / "b.json"
    result_text = f"error: {path} cannot be written ({reason}\n"
    assert call("run", *DCONV0, "--json", path, status=2)[1] == result_text
    monkeypatch.undo()
    result.write_json(path, [SAMPLE])
    monkeypatch.setattr(atomic.os, "replace", write)
    _, err = call("gate", path, "--baseline", baseline, "--update", status=2)
    assert err == f"error: {baseline} cannot be written ({reason}\n"


@pytest.mark.usefixtures("no_work")
def test_a_folder_that_cannot_be_written_to_is_found_first(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    _, err = call("run", *DCONV0, "--json", tmp_path / "r.json", status=2)
    assert err.startswith(f"error: {tmp_path / 'r.json'} cannot be written (Permission denied)")


@pytest.mark.parametrize(
    ("module", "arguments", "extra"),
    [
        ("torch", ("--live",), "reference"),
        ("plotly", ("--html", "r.html"), "report"),
        ("jinja2", ("--html", "r.html"), "report"),
    ],
)
def test_an_extra_is_missing(
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    arguments: tuple[str, ...],
    extra: str,
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    run.live_expected.cache_clear()
    _, err = call("run", *DCONV0, *arguments, status=2)
    assert module in err
    assert f'pip install "demucs-tf[{extra}]"' in err


def test_another_import_error_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ImportError("cannot import name", name="parity.nothing")

    monkeypatch.setattr(select, "select", broken)
    with pytest.raises(ImportError):
        main(["run"])


@pytest.mark.parametrize(("module", "name"), [(select, "select"), (run, "run_cases")])
def test_ctrl_c(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, module: object, name: str
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, name, interrupt)
    assert main(["run", *DCONV0]) == 130
    assert capsys.readouterr().err == "interrupted\n"


# The other commands.


def test_mutate(call: Call, tmp_path: Path) -> None:
    """In both types and modes, but for what float32 cannot hear."""
    names = "glu-halves or gelu-float32"
    out, _ = call("mutate", "-k", names, "--json", tmp_path / "score.json")
    assert out.startswith("killed     gelu-float32-constant")
    assert "beyond float32  gelu-float32-constant" in out
    scores = [line.partition(" killed at")[0] for line in out.splitlines() if "score" in line]
    assert scores == [
        "mutation score, float64, isolated: 2/2",
        "mutation score, float64, cumulative: 2/2",
        "mutation score, float32, isolated: 1/1",
        "mutation score, float32, cumulative: 1/1",
    ]
    outcomes = json.loads((tmp_path / "score.json").read_text())
    assert [o["killed"] and o["placed"] for o in outcomes] == [True] * 6
    _, err = call("mutate", "-k", "no-such-fault", status=2)
    assert err == "error: No fault fits -k 'no-such-fault'.\n"


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("options", [(), ("--all", "--case", "demucs-dconv0")])
def test_capture_renews_nothing_unasked(call: Call, options: tuple[str, ...]) -> None:
    _, err = call("capture", *options, status=2)
    assert "name them with --case NAME, or say --all" in err


@pytest.mark.usefixtures("reference_is_golden")
def test_capture_all(call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(select, "CASES", (BY_NAME["demucs-dconv0"], BY_NAME["demucs-music"]))
    call("capture", "--all", "--golden", tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*.*")) == [
        "demucs-dconv0.json", "demucs-dconv0.npz",
    ]  # fmt: skip
    kept = run.golden_folder() / "demucs-dconv0.json"
    assert (tmp_path / kept.name).read_bytes() == kept.read_bytes()


def test_capture_refuses_a_live_case_first(call: Call, tmp_path: Path) -> None:
    out, err = call(
        "capture", "--case", "demucs-dconv0", "--case", "demucs-music", "--golden", tmp_path,
        status=2,
    )  # fmt: skip
    assert "error: demucs-music has no golden" in err
    assert (out, list(tmp_path.iterdir())) == ("", [])


def test_gate_and_report(call: Call, tmp_path: Path) -> None:
    path, baseline, page = (tmp_path / name for name in ("r.json", "b.json", "r.html"))
    result.write_json(path, [SAMPLE])
    _, err = call("gate", path, "--baseline", baseline, status=2)
    assert "write one with `python -m parity gate" in err
    call("gate", path, "--baseline", baseline, "--update")
    assert call("gate", path, "--baseline", baseline)[0] == "1 results, no regression\n"
    kept = json.loads(baseline.read_text())
    kept["results"]["demucs-dconv0 float64"]["comparisons"] += 1
    baseline.write_text(json.dumps(kept))
    out, _ = call("gate", path, "--baseline", baseline, status=1)
    assert out == "demucs-dconv0 float64: 2 comparisons, were 3\n"
    result.write_json(
        path, [replace(SAMPLE, layers=(record(dtype="float64", verdict="fail"),) * 3)]
    )
    out, _ = call("gate", path, "--baseline", baseline, status=1)
    place = "encoder.0.conv (Conv1d), demucs/hdemucs.py:118; port: demucs_tf/layers/conv.py:"
    assert out.startswith(f"demucs-dconv0 float64: fails at {place}")
    result.write_json(path, [replace(SAMPLE, case="another")])
    call("gate", path, "--baseline", baseline, "--update", "--keep")
    both = json.loads(baseline.read_text())
    assert both["results"].keys() == {"another float64", "demucs-dconv0 float64"}
    assert both["results"]["demucs-dconv0 float64"] == kept["results"]["demucs-dconv0 float64"]
    call("gate", path, "--baseline", baseline, "--keep", status=2)
    call("report", path, "--html", page)
    assert "another" in page.read_text()
    call("report", path, "--html", tmp_path / "none" / "r.html", status=2)
    call("gate", path, "--baseline", tmp_path / "none" / "b.json", "--update", status=2)


@pytest.mark.parametrize("update", [(), ("--update",)])
def test_gate_without_results(call: Call, tmp_path: Path, update: tuple[str, ...]) -> None:
    result.write_json(tmp_path / "r.json", [])
    gate.write_baseline(tmp_path / "b.json", gate.baseline_of([SAMPLE]))
    _, err = call("gate", tmp_path / "r.json", "--baseline", tmp_path / "b.json", *update, status=2)
    assert err.startswith("error: There are no results")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-k", "(("), "-k '((' is no expression"),
        (("-m", "live and"), "-m 'live and' is no expression"),
        (("--html", "/nonexistent/r.html"), "--html /nonexistent/r.html: expected a file in"),
    ],
)
def test_pytest_refuses_at_once(options: tuple[str, str], message: str) -> None:
    """Before tests are collected and their jobs are started: pytest looks at it after that."""
    run = [sys.executable, "-m", "pytest", "tests/project/test_docs.py", *options]
    found = subprocess.run(run, capture_output=True, text=True, cwd=ROOT, check=False)
    assert found.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: {message}" in found.stderr
    assert "collected" not in found.stdout
