"""`python -m parity run --backward`, `capture --backward` and `train-steps`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from parity.__main__ import main


def test_run_backward(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "result.json"
    case = ["--case", "hdemucs-masks-silence", "--dtype", "float32"]
    assert main(["run", "--backward", *case, "--json", str(path)]) == 0
    out = capsys.readouterr().out
    assert "PASS  hdemucs-masks-silence backward  float32  " in out
    assert " 4 not decided; " in out
    assert {each["kind"] for each in json.loads(path.read_text())["results"][0]["layers"]} == {
        "gradient"
    }


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["run", "--case", "demucs-relu"], "demucs-relu has no golden of its gradients: run it"),
        (["run", "--checkpoint", "a.th", "--audio", "b.wav"], "not with --checkpoint"),
        (["capture", "--case", "demucs-relu"], "demucs-relu has no golden of its gradients"),
    ],
)
def test_refused(options: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([options[0], "--backward", *options[1:]]) == 2
    assert text in capsys.readouterr().err


@pytest.mark.live
def test_train_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--case", "hdemucs-plain", "--steps", "2", "--optimizer", "sgd", "--engine", "eager"]
    path = tmp_path / "steps.json"
    assert main(["train-steps", *options, "--dtype", "float64", "--json", str(path), "-v"]) == 0
    out = capsys.readouterr().out
    assert "PASS  hdemucs-plain  sgd  float64  eager  2 steps, loss " in out
    assert "1 passed, 0 failed" in out
    (steps,) = json.loads(path.read_text())
    assert [step["number"] for step in steps["steps"]] == [1, 2]
    assert main(["train-steps", "--steps", "0"]) == 2
