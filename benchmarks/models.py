"""The models that are measured, the same on both sides, and the music that they hear."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from typing import Any

import numpy as np

from demucs_tf.models.presets import PRESETS

SEED = 0
MUSIC_SECONDS = 20
START_SECONDS = 5


@dataclass(frozen=True)
class Subject:
    """A preset and the seconds of its chunks; None: the preset's own.

    `gflop` is what a chunk takes: products and convolutions of the reference, as PyTorch counts
    them with its attention taken apart; a test counts again.
    """

    preset: str
    segment: float | None
    note: str
    gflop: float | None = None

    @property
    def changes(self) -> dict[str, Any]:
        """The constructor arguments that differ from the preset's."""
        return {} if self.segment is None else {"segment": self.segment}


# The bags of the models with an LSTM set 44 seconds, of which a short track has no two.
SUBJECTS = {
    each.preset: each
    for each in (
        Subject("htdemucs", None, "transformer", 334.9),
        Subject("htdemucs_6s", None, "transformer, six stems", 256.3),
        Subject("hdemucs_mmi", 10, "hybrid: LSTM, LocalState", 210.3),
        Subject("mdx_time", 10, "time domain: LSTM", 152.2),
        Subject("mdx_mask", 10, "hybrid: masks, Wiener filter", 208.6),
        Subject("mdx_multi", 10, "hybrid: MultiWrap of three bands", 185.9),
    )
}


def port(name: str, half: bool = False, seed: int = SEED) -> Any:
    """The port with weights of order 1; with `half`, rounded to what float16 holds."""
    from demucs_tf.checkpoints.weights import load_state, shapes_of
    from demucs_tf.layers.base import blank_weights
    from demucs_tf.models.presets import build
    from parity.core.seeding import seeded_state

    with blank_weights():
        model = build(name, **SUBJECTS[name].changes)
    state = seeded_state(shapes_of(model).items(), seed)
    if half:
        state = {key: array.astype(np.float16).astype(np.float32) for key, array in state.items()}
    load_state(model, state)
    return model


def reference(name: str) -> Any:
    """The reference with the same weights."""
    from parity.core.seeding import seed_module

    made = untrained(name)
    seed_module(made, SEED)
    return made


def untrained(name: str) -> Any:
    """The reference as PyTorch fills it."""
    preset = PRESETS[name]
    module, _, attribute = preset.klass.rpartition(".")
    arguments = {**preset.arguments, **SUBJECTS[name].changes}
    arguments = {k: Fraction(v) if k == "segment" else v for k, v in arguments.items()}
    made = getattr(import_module(module), attribute)(sources=list(preset.sources), **arguments)
    return made.eval()


def music() -> Any:
    """Real music, levelled: (2, T) at 44,100 Hz."""
    import soundfile

    from parity.cases.signals import AUDIO, music_file

    path = music_file()
    if path is None:
        raise SystemExit(f"Real music is needed: set {AUDIO} to a folder with FLAC files.")
    rate = soundfile.info(path).samplerate
    samples, _ = soundfile.read(
        path,
        dtype="float32",
        always_2d=True,
        start=START_SECONDS * rate,
        frames=MUSIC_SECONDS * rate,
    )
    mono = samples.mean(axis=1)
    return np.ascontiguousarray((samples.T - mono.mean()) / mono.std())
