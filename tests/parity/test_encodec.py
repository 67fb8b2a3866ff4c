"""The harness proves a port that has nothing of Demucs: the example `examples/parity_encodec`."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

import pytest

from examples.parity_encodec import faults, port
from examples.parity_encodec.__main__ import main
from examples.parity_encodec.cases import BY_NAME, CASES, SUITE, make_reference
from parity.core.mutate import Fault, inject
from parity.core.suite import Case

FILES = sorted(Path(port.__file__).parent.glob("*.py"))
OURS = ("examples.parity_encodec", "parity.core", "parity.report.html")
# By case, so that the reference runs once for all faults of one.
FAULTS = [fault for case in CASES for fault in faults.fault if fault.case == case.name]


def live(test: Any) -> Any:
    old = pytest.mark.skipif(sys.version_info < (3, 11), reason="transformers needs Python 3.11")
    return pytest.mark.live(old(test))


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_imports_nothing_of_demucs(path: Path) -> None:
    names = [n for n in imported(path) if n.startswith(("demucs", "parity", "examples"))]
    assert [name for name in names if not name.startswith(OURS)] == []


def test_the_port_knows_nothing_of_the_harness() -> None:
    known = {"__future__.annotations", "keras", "keras.ops", "math", "typing.Any"}
    assert imported(Path(port.__file__)) == known


@live
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_layer_agrees(case: Case) -> None:
    import torch

    reference = make_reference(case)
    kinds = ("Conv1d", "ConvTranspose1d", "ELU", "GroupNorm", "Identity", "LSTM")
    compared = tuple(getattr(torch.nn, kind) for kind in kinds)
    modules = sum(isinstance(module, compared) for module in reference.modules())
    for dtype in ("float64", "float32"):
        result = SUITE.run_case(case, dtype, live=True)
        assert not result.failures
        assert result.verdict == "pass", result.coverage.missing
        coverage = result.coverage
        assert coverage.complete
        assert coverage.modules.total == modules > 0
        assert coverage.parameters.total == len([*reference.parameters()]) > 0
        assert coverage.call_sites.total > modules
        assert coverage.taps.total > 0
        for record in result.layers:
            bound = 1e-12 if (record.dtype, record.mode) == ("float64", "isolated") else 1e-3
            assert record.rel_l2 is not None
            assert record.rel_l2 <= bound, record


def test_the_cases_differ_in_what_matters() -> None:
    """Each kind of padding, norm and shortcut is heard, and a signal shorter than its padding."""

    def values(name: str) -> set[Any]:
        return {case.config.get(name) for case in CASES}

    assert values("use_causal_conv") == values("use_conv_shortcut") == {None, False}
    assert values("norm_type") == {None, "time_group_norm"}
    assert values("audio_channels") == {None, 2}
    assert min(case.shapes[0][-1] for case in CASES) < 6  # the first kernel has seven samples


@live
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_found_where_it_sits(fault: Fault) -> None:
    outcome = inject(fault, faults.run)
    assert outcome.killed, f"{fault.name} went unseen"
    assert outcome.placed, f"found at {outcome.found!r}, expected {outcome.expected!r}"


def test_there_are_faults_in_every_case() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) == len(faults.fault) >= 8
    assert {fault.case for fault in FAULTS} == set(BY_NAME)


@live
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "report.html"
    assert main(["short", "--html", str(page)]) == 0
    printed = capsys.readouterr().out
    for dtype in ("float32", "float64"):
        assert f"pass  short   {dtype}  modules 22/22, " in printed
    planted = sum(fault.case == "short" for fault in FAULTS)
    assert f"faults killed at the right layer: {planted}/{planted}\n" in printed
    assert printed.count("killed  ") == planted
    text = page.read_text(encoding="utf-8")
    assert "<title>PASS: EncodecModel parity report" in text
    assert "encoder.layers.1.block.1:pad" in text
    assert "EncodecConvTranspose1d" in text
    assert "demucs" not in text.lower()


@live
def test_the_command_says_what_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(port, "EPSILON", 1e-3)
    assert main(["stereo"]) == 1
    printed = capsys.readouterr().out
    assert "fail  stereo  float64" in printed
    assert "  encoder.layers.0.norm: relative L2 " in printed
    assert "killed" not in printed


def test_an_unknown_case_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["loud"])
    assert stop.value.code == 2
    assert "no case loud; there are causal, " in capsys.readouterr().err
