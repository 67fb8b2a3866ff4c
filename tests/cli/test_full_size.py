"""The main job at full size: the published width on thirty seconds of real music."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import soundfile

from demucs_tf.cli.main import main
from parity.cases import signals
from parity.core.compare import snr_db
from parity.core.seeding import seed_module

SOURCES = ["drums", "bass", "other", "vocals"]
MUSIC = signals.music_file()


@pytest.mark.live
@pytest.mark.full
@pytest.mark.skipif(MUSIC is None, reason=f"no real music: {signals.AUDIO} names no folder with it")
def test_the_command_gives_what_the_reference_gives(tmp_path: Path) -> None:
    import torch
    from demucs.apply import apply_model
    from demucs.demucs import Demucs
    from demucs.states import load_model, serialize_model
    from omegaconf import OmegaConf

    assert MUSIC is not None
    module = Demucs(sources=SOURCES).eval()
    seed_module(module, 0)
    checkpoint = tmp_path / "full.th"
    torch.save(serialize_model(module, OmegaConf.create({}), half=True), checkpoint)

    samples, _ = soundfile.read(MUSIC, dtype="float32")
    wav = torch.from_numpy(samples.T.copy())
    mono = wav.mean(0)
    mean, std = mono.mean(), mono.std() + 1e-8
    random.seed(42)
    with torch.no_grad():
        stems = apply_model(load_model(checkpoint).eval(), ((wav - mean) / std)[None])[0]
    stems = (stems * std + mean).numpy()

    arguments = ["separate", str(MUSIC), "-n", str(checkpoint), "-o", str(tmp_path / "out")]
    assert main([*arguments, "--seed", "42", "--float32", "--clip-mode", "none"]) == 0
    for name, expected in zip(SOURCES, stems, strict=True):
        found, _ = soundfile.read(
            tmp_path / "out" / "full" / MUSIC.stem / f"{name}.wav", dtype="float32"
        )
        assert np.abs(expected).max() > 0.01
        assert snr_db(found.T.astype(np.float64), expected) >= 100


@pytest.mark.live
@pytest.mark.full
@pytest.mark.skipif(MUSIC is None, reason=f"no real music: {signals.AUDIO} names no folder with it")
def test_one_segment_of_htdemucs() -> None:
    """41,984,456 weights of order 1 on 7.8 s of music, in the graph that `apply_model` runs."""
    import tensorflow as tf
    import torch
    from demucs.htdemucs import HTDemucs

    from demucs_tf import from_torch
    from demucs_tf.models.presets import PRESETS

    preset = PRESETS["htdemucs"]
    module = HTDemucs(list(preset.sources), **preset.arguments).eval()
    seed_module(module, 0)
    mix = signals.make("music", (1, 2, 343_980), 0).astype(np.float32)
    with torch.no_grad():
        expected = module(torch.from_numpy(mix)).numpy()
    signature = [tf.TensorSpec([None, 2, None], tf.float32)]
    found = np.asarray(tf.function(from_torch(module), input_signature=signature)(mix))
    error, snr = np.abs(found - expected).max(), snr_db(found, expected)
    print(f"largest error {error:.2e}, output up to {np.abs(expected).max():.2f}, SNR {snr:.1f} dB")
    assert error <= 1e-4
    assert snr >= 110
