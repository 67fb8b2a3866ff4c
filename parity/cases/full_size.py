"""Cases at the published sizes, on real music; run live."""

from __future__ import annotations

from typing import Any

from demucs_tf.models.presets import PRESETS
from parity.cases.case import FOUR, Case

_RATE = 44100


def _preset(name: str, seconds: float, note: str, **changes: Any) -> Case:
    preset = PRESETS[name.removesuffix("-full")]
    return Case(
        name,
        {"sources": list(preset.sources), **preset.arguments, **changes},
        int(seconds * _RATE),
        signal="music",
        reference=preset.klass,
        stored="live",
        full=True,
        note=note,
    )


# Everything that both sides compute is held in memory, so the pieces are short. The transformers
# are told that they were trained on such pieces; their weights are the same for any length.
CASES: tuple[Case, ...] = (
    Case(
        "demucs-full",
        {"sources": FOUR},
        2 * _RATE,
        signal="music",
        stored="live",
        full=True,
        note="the published width and depth on two seconds of real music",
    ),
    _preset("htdemucs-full", 2, "two seconds instead of 7.8", segment=2),
    _preset("htdemucs_6s-full", 1.5, "without bottom_channels", segment=1.5),
    _preset("hdemucs_mmi-full", 2, "complex as channels, norms, LSTM and attention"),
    _preset("mdx_time-full", 1, "time domain, without 1x1 convolutions in the encoder"),
    _preset("mdx_mask-full", 2, "amplitudes, Wiener filter, old padding, no norms"),
    _preset("mdx_multi-full", 1.5, "three frequency bands with weights of their own"),
)
