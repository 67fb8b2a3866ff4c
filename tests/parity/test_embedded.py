"""The model in the package against the reference, with its trained weights."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import demucs_tf
from demucs_tf.checkpoints.sources import embedded as source
from demucs_tf.training.evaluation import median_sdr
from parity import embedded
from parity.core.result import ParityError

STEMS = Path(__file__).parents[2] / "examples" / "piece_stems"
LEAST_SNR = 110.0  # dB, in float32
MOST_CHANGE = 0.0005  # dB of SDR


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_layer_gives_what_the_golden_has(dtype: str) -> None:
    (result,) = embedded.run([dtype])
    assert result.verdict == "pass", result.first_divergence
    assert result.coverage.complete


def test_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = demucs_tf.load_model("demo")
    model.variables[0].assign(model.variables[0] * 1.001)
    demucs_tf.save_model(model, tmp_path / "other.safetensors")
    monkeypatch.setattr(source, "path", lambda: tmp_path / "other.safetensors")
    with pytest.raises(ParityError, match=r"other weights: python -m parity capture --embedded"):
        list(embedded.run(["float32"]))


@pytest.mark.live
def test_the_golden_is_what_the_reference_gives(tmp_path: Path) -> None:
    for file in embedded.FOLDER.glob("demo.*"):
        shutil.copy(file, tmp_path)
    old, new = embedded.stored_expected(tmp_path), embedded.live_expected()
    assert old.environment["trained"] == embedded.state_hash(new.state)
    for stored, live in zip(old.events, new.events, strict=True):
        assert (stored.path, stored.call) == (live.path, live.call)
        for a, b in zip(stored.outputs, live.outputs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.live
def test_a_whole_piece_is_the_references() -> None:
    import torch
    from demucs.apply import apply_model

    from parity.demucs.own import both_sides

    ports, module = both_sides(source.path(), ["float32"])
    files = [STEMS / f"{stem}.flac" for stem in module.sources]
    truth = np.stack([soundfile.read(file, dtype="float32")[0].T for file in files])
    mix = truth.sum(axis=0)[None]
    settings: dict[str, Any] = {"shifts": 0, "split": True, "overlap": 0.25}
    with torch.no_grad():
        wanted = apply_model(module, torch.tensor(mix), **settings).numpy()[0]
    found = np.asarray(demucs_tf.apply_model(ports["float32"], mix, **settings))[0]
    noise = np.sum((found - wanted).astype(float) ** 2, axis=(1, 2))
    snr = 10 * np.log10(np.sum(wanted.astype(float) ** 2, axis=(1, 2)) / noise)
    assert snr.min() >= LEAST_SNR, snr
    change = np.abs(median_sdr(truth, found) - median_sdr(truth, wanted))
    assert change.max() <= MOST_CHANGE, change
