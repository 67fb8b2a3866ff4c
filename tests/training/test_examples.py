"""The commands of examples/ that train and measure, with tiny models."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import demucs_tf
from tests.training.folders import write_pieces


def main(name: str, *arguments: object) -> int:
    module = importlib.import_module(f"examples.{name}")
    old, sys.argv = sys.argv, [name, *map(str, arguments)]
    try:
        return int(module.main() or 0)
    finally:
        sys.argv = old


def test_train_and_resume(tmp_path: Path, capsys: Any) -> None:
    data = write_pieces(tmp_path / "data")
    out = tmp_path / "out"
    command = [
        *("--data", data, "--valid", data, "--out", out, "--batch", 2, "--seconds", 0.05),
        *("--every", 2, "--warmup", 1, "--verbose", 0, "--valid-batches", 1),
        *("--arguments", '{"channels": 4, "depth": 1, "dconv_mode": 0, "resample": false}'),
    ]
    assert main("train", *command, "--steps", 3, "--minutes", 0) == 0
    assert "step 2 of 4; go on with --resume" in capsys.readouterr().out
    assert main("train", *command, "--steps", 4) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "is there already: resume it" in error
    assert main("train", *command, "--steps", 4, "--resume") == 0
    assert capsys.readouterr().out.endswith("model.safetensors: step 4\n")
    rows = (out / "log.csv").read_text().splitlines()
    assert rows[0].startswith("step,seconds,loss,sdr_bass,sdr_drums")
    assert "val_sdr_vocals" in rows[0]
    assert [row.split(",")[0] for row in rows[1:]] == ["2", "4"]
    half = tmp_path / "half.safetensors"
    main("halve", out / "model.safetensors", half)
    assert half.stat().st_size < (out / "model.safetensors").stat().st_size
    whole, rounded = (demucs_tf.load_model(p) for p in (out / "model.safetensors", half))
    mix = np.random.default_rng(0).normal(size=(1, 2, 500)).astype("float32")
    np.testing.assert_allclose(np.asarray(rounded(mix)), np.asarray(whole(mix)), atol=0.01)
    assert not np.array_equal(np.asarray(rounded(mix)), np.asarray(whole(mix)))


def test_evaluate_measures_the_truth_as_perfect() -> None:
    module = importlib.import_module("examples.evaluate")
    random = np.random.default_rng(0)
    truth = random.normal(size=(2, 1, 2 * 44100))
    noise = random.normal(size=truth.shape)
    found = module.sdr(truth, truth + 0.1 * noise)
    assert found == pytest.approx([20.0, 20.0], abs=0.2)
