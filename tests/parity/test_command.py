"""`python -m parity` as a developer meets it: what it prints, and its exit status."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from parity import run, select
from parity.__main__ import main
from parity.cases import BY_NAME, Case, signals
from parity.core import result
from parity.faults import FAULTS
from tests.parity.test_report import record
from tests.parity.test_report import result as report_result

DCONV0 = ("--case", "demucs-dconv0", "--dtype", "float64", "--mode", "isolated")
Call = Callable[..., tuple[str, str]]
SAMPLE = report_result(
    record(dtype="float64"), record(dtype="float64", mode="cumulative"),
    case="demucs-dconv0", dtype="float64",
)  # fmt: skip


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run a command; returns what it printed, after a look at its exit status."""

    def run_main(*arguments: str | Path, status: int = 0) -> tuple[str, str]:
        capsys.readouterr()
        found = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert found == status, out + err
        assert err.count("\n") == (1 if status == 2 else 0), err
        return out, err

    return run_main


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


def test_divergence(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    fault = next(fault for fault in FAULTS if fault.name == "gelu-tanh")
    monkeypatch.setattr(fault.owner, fault.attribute, fault.replacement)
    out, _ = call("run", *DCONV0, status=1)
    assert "first divergence: encoder.0.2 (GELU), " in out
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
    from parity.core.capture import port

    whole = port.isolated

    def without(*arguments: object) -> object:
        outputs = whole(*arguments)  # type: ignore[arg-type]
        return {key: value for key, value in outputs.items() if key[0] != "encoder.0.1"}

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
        (("--checkpoint", "/nonexistent.th"), "--checkpoint and --audio go together"),
        (
            ("--checkpoint", "/nonexistent.th", "--audio", "/nonexistent.wav"),
            "/nonexistent.th: no such file",
        ),
        (
            ("--checkpoint", "a.th", "--audio", "a.wav", "--seconds", "0"),
            "--seconds: expected a number above 0",
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


def test_unreadable_audio(call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(run, "both_sides", lambda *_: ({}, None))
    (tmp_path / "a.wav").write_text("no audio")
    _, err = call("run", "--checkpoint", "a.th", "--audio", tmp_path / "a.wav", status=2)
    assert err.startswith(f"error: {tmp_path / 'a.wav'}: expected WAV, FLAC, OGG or MP3 audio")


@pytest.mark.parametrize("arguments", [(), ("run", "--mode", "odd"), ("gate",)])
def test_argparse(arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as error:
        main(arguments)
    assert error.value.code == 2


def test_a_full_disk(call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def write(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(result, "write_json", write)
    monkeypatch.setattr(run, "run_cases", lambda *_, **__: [SAMPLE])
    _, err = call("run", *DCONV0, "--json", tmp_path / "r.json", status=2)
    assert err == "error: [Errno 28] No space left on device\n"


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
    out, _ = call("mutate", "-k", "glu-halves", "--json", tmp_path / "score.json")
    assert out.startswith("killed     glu-halves-swapped")
    assert out.endswith("mutation score: 1/1 killed at the right layer\n")
    outcomes = json.loads((tmp_path / "score.json").read_text())
    assert [(o["fault"], o["killed"], o["placed"]) for o in outcomes] == [
        ("glu-halves-swapped", True, True)
    ]
    _, err = call("mutate", "-k", "no-such-fault", status=2)
    assert err == "error: No fault fits -k 'no-such-fault'.\n"


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
    kept["demucs-dconv0 float64"]["comparisons"] += 1
    baseline.write_text(json.dumps(kept))
    out, _ = call("gate", path, "--baseline", baseline, status=1)
    assert out == "demucs-dconv0 float64: 2 comparisons, were 3\n"
    call("report", path, "--html", page)
    assert "demucs-dconv0" in page.read_text()
    call("report", path, "--html", tmp_path / "none" / "r.html", status=2)
    call("gate", path, "--baseline", tmp_path / "none" / "b.json", "--update", status=2)


@pytest.mark.parametrize("update", [(), ("--update",)])
def test_gate_without_results(call: Call, tmp_path: Path, update: tuple[str, ...]) -> None:
    result.write_json(tmp_path / "r.json", [])
    (tmp_path / "b.json").write_text(
        '{"a": {"verdict": "pass", "comparisons": 1, "worst_noise_ratio": 1}}'
    )
    _, err = call("gate", tmp_path / "r.json", "--baseline", tmp_path / "b.json", *update, status=2)
    assert err.startswith("error: There are no results")
