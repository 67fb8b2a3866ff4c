"""The memory that one pass of a model takes, measured in a process that does nothing else.

    python -m tests.support.peak '["htdemucs", 7.8, 1, {"t_heads": 4}]'

A preset or a class of the reference, seconds, items, and arguments that differ. Prints megabytes
above the built model, and seconds of the processor.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np

from demucs_tf.models.config import CONFIGS, Config
from demucs_tf.models.presets import PRESETS, SOURCES
from tests.fuzz.watch import peak, restart_peak


def config_of(name: str, changes: dict[str, Any]) -> Config:
    """The configuration of a preset, or of a class with its defaults, but for `changes`."""
    if name in PRESETS:
        preset = PRESETS[name]
        name = preset.klass
        changes = {"sources": list(preset.sources), **preset.arguments, **changes}
    config = next(each for key, each in CONFIGS.items() if key.endswith(f".{name}") or key == name)
    return config.from_dict({"sources": list(SOURCES), **changes})


def main(name: str, seconds: float, items: int, changes: dict[str, Any]) -> None:
    """Apply the model to noise, at once, and print what that took."""
    from demucs_tf import apply_model
    from demucs_tf.models.ports import PORTS

    config = config_of(name, changes)
    model = PORTS[config.reference](**config.arguments())
    shape = (items, config.audio_channels, int(seconds * config.samplerate))
    mix = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    before, start = restart_peak(), time.process_time()
    apply_model(model, mix, shifts=0, split=False)
    print(round((peak() - before) / 1e6), round(time.process_time() - start, 1))


if __name__ == "__main__":
    main(*json.loads(sys.argv[1]))
