"""The model in the package: there without a network, and what an error says of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import demucs_tf
from demucs_tf.checkpoints.sources import embedded, hub
from demucs_tf.cli.main import main
from demucs_tf.errors import ModelNotFoundError

MOST_BYTES = 5_000_000


def test_it_loads_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(hub, "download", unreachable)
    model = demucs_tf.load_model("demo")
    assert model.sources == ["drums", "bass", "other", "vocals"]
    assert embedded.path().stat().st_size <= MOST_BYTES
    mix = np.random.default_rng(0).normal(size=(1, 2, 4410)).astype("float32")
    assert np.isfinite(np.asarray(model(mix))).all()


def test_its_licence_and_recipe_are_beside_it() -> None:
    text = (embedded.FOLDER / "README.md").read_text(encoding="utf-8")
    for word in ("MIT", "examples/train.py", "examples.music", "SDR", "log.csv"):
        assert word in text
    assert (embedded.FOLDER / "log.csv").read_text().startswith("step,")


def test_it_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    line = next(row for row in capsys.readouterr().out.splitlines() if row.startswith("demo "))
    assert embedded.WORTH in line


def test_an_error_about_the_network_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object) -> None:
        raise ModelNotFoundError("no network.")

    monkeypatch.setattr(hub, "download", unreachable)
    message = rf"Without a network there is 'demo' \(-n demo\): {embedded.WORTH}\.$"
    with pytest.raises(ModelNotFoundError, match=message):
        demucs_tf.load_model("htdemucs")
