"""What is measured: the models, their files, and the music."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

SEED = 0
MUSIC_SECONDS = 20
START_SECONDS = 5
OVERLAP = 0.25

# Format, weights. The order is that of the page's columns.
KINDS = (
    ("tflite", "float32"),
    ("tflite", "float16"),
    ("tflite", "int8"),
    ("onnx", "float32"),
    ("onnx", "float16"),
)


@dataclass(frozen=True)
class Subject:
    """A preset and the seconds of its chunks; None: the preset's own."""

    preset: str
    segment: float | None
    note: str

    @property
    def changes(self) -> dict[str, Any]:
        """The constructor arguments that differ from the preset's."""
        return {} if self.segment is None else {"segment": self.segment}


# The bags of the models with an LSTM set 44 seconds, of which a short track has no two.
SUBJECTS = {
    each.preset: each
    for each in (
        Subject("htdemucs", None, "transformer"),
        Subject("htdemucs_6s", None, "transformer, six stems"),
        Subject("hdemucs_mmi", 10, "hybrid: LSTM, LocalState"),
        Subject("mdx_time", 10, "time domain: LSTM"),
        Subject("mdx_mask", 10, "hybrid: masks, Wiener filter"),
        Subject("mdx_multi", 10, "hybrid: MultiWrap of three bands"),
    )
}


def file_of(folder: Path, name: str, kind: tuple[str, str], variant: str = "") -> Path:
    """Where the file of a model lies.

    Args:
        folder: of all files.
        name: of the model.
        kind: format and weights.
        variant: "half": made of weights in half precision; "any": it takes any length.
    """
    form, weights = kind
    return folder / f"{'-'.join(filter(None, (name, variant, weights)))}.{form}"


def port(name: str, half: bool = False) -> Any:
    """The port with weights of order 1; with `half`, rounded to what float16 holds."""
    from demucs_tf.checkpoints.weights import load_state, shapes_of
    from demucs_tf.layers.base import blank_weights
    from demucs_tf.models.presets import build
    from parity.core.seeding import seeded_state

    with blank_weights():
        model = build(name, **SUBJECTS[name].changes)
    state = seeded_state(shapes_of(model).items(), SEED)
    if half:
        state = {key: array.astype(np.float16).astype(np.float32) for key, array in state.items()}
    load_state(model, state)
    return model


def reference(name: str) -> Any:
    """The reference with the same weights."""
    from demucs_tf.models.presets import PRESETS
    from parity.core.seeding import seed_module

    preset = PRESETS[name]
    module, _, attribute = preset.klass.rpartition(".")
    arguments = {**preset.arguments, **SUBJECTS[name].changes}
    arguments = {k: Fraction(v) if k == "segment" else v for k, v in arguments.items()}
    made = getattr(import_module(module), attribute)(sources=list(preset.sources), **arguments)
    seed_module(made, SEED)
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
