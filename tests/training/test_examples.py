"""The commands of examples/ that train and measure, with tiny models."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import demucs_tf
from tests.support.tiny_models import tiny_model
from tests.training.folders import STEMS, write_pieces


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
    assert main("train", *command, "--steps", 4, "--resume", "--tensorboard", "--jit") == 0
    assert list((out / "tensorboard").rglob("events.*"))
    assert capsys.readouterr().out.endswith("model.safetensors: step 4\n")
    rows = (out / "log.csv").read_text().splitlines()
    assert rows[0].startswith("step,seconds,learning_rate,loss,sdr_bass")
    assert "val_sdr_vocals" in rows[0]
    assert [row.split(",")[0] for row in rows[1:]] == ["2", "4"]
    half = tmp_path / "half.safetensors"
    main("halve", out / "model.safetensors", half)
    assert half.stat().st_size < (out / "model.safetensors").stat().st_size
    whole, rounded = (demucs_tf.load_model(p) for p in (out / "model.safetensors", half))
    mix = np.random.default_rng(0).normal(size=(1, 2, 500)).astype("float32")
    np.testing.assert_allclose(np.asarray(rounded(mix)), np.asarray(whole(mix)), atol=0.01)
    assert not np.array_equal(np.asarray(rounded(mix)), np.asarray(whole(mix)))


def test_finetune_measures_before_and_after(tmp_path: Path, capsys: Any) -> None:
    data = write_pieces(tmp_path / "data", 1)
    start, out = tmp_path / "start.safetensors", tmp_path / "tuned.safetensors"
    demucs_tf.save_model(tiny_model(0), start)
    command = ("--piece", data / "piece0", "--checkpoint", start, "--out", out)
    assert main("finetune", *command, "--steps", 10, "--seconds", 0.05) == 0
    printed = capsys.readouterr().out
    assert "after 10 steps" in printed
    for stem in STEMS:
        assert f"  {stem:8s} " in printed
    assert demucs_tf.load_model(out).sources == list(STEMS)


def test_evaluate(tmp_path: Path, capsys: Any) -> None:
    data = write_pieces(tmp_path / "data", 2, seconds=1.2)
    demucs_tf.save_model(tiny_model(0), tmp_path / "tiny.safetensors")
    figures = tmp_path / "figures.json"
    assert (
        main("evaluate", "--data", data, "-n", tmp_path / "tiny.safetensors", "--json", figures)
        == 0
    )
    printed = capsys.readouterr().out
    found = json.loads(figures.read_text())
    assert found["stems"] == list(STEMS)
    for name in ("piece0", "piece1"):
        row = found["pieces"][name]
        assert f"{row['sdr'][0]:6.2f} {row['sdr'][0] - row['mixture'][0]:+7.2f}" in printed
    assert "least of the gains" in printed
    folder = data / "piece0"
    truth = np.stack([soundfile.read(folder / f"{stem}.wav")[0].T for stem in STEMS])
    wanted = 10 * np.log10(
        (truth[0, :, :44100] ** 2).sum() / (truth[1:].sum(axis=0)[:, :44100] ** 2).sum()
    )
    assert found["pieces"]["piece0"]["mixture"][0] == pytest.approx(wanted, abs=1e-3)
