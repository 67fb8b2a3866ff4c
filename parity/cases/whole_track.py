"""Cases of what surrounds a model: chunks, shifts, overlap, the level of a track."""

from __future__ import annotations

from typing import Any

from parity.cases.case import DEMUCS, HDEMUCS, HTDEMUCS, Case

# Models of one layer, on segments of some hundred samples.
_SMALL = {"sources": ["vocals", "no_vocals"], "channels": 4, "depth": 1, "samplerate": 1000}
_LAYER = {"kernel_size": 4, "stride": 2, "dconv_mode": 0, "segment": 0.2}
_MODELS: dict[str, dict[str, Any]] = {
    DEMUCS: {**_SMALL, **_LAYER},
    HDEMUCS: {**_SMALL, **_LAYER, "nfft": 8},
    HTDEMUCS: {
        **_SMALL,
        **_LAYER,
        "nfft": 16,
        "channels": 8,
        "t_layers": 1,
        "t_heads": 2,
        "t_sin_random_shift": 50,
    },
}


def _case(name: str, reference: str, length: int, **apply: Any) -> Case:
    config = _MODELS[reference]
    return Case(f"apply-{name}", config, length, reference=reference, apply=apply)


CASES: tuple[Case, ...] = (
    _case("demucs", DEMUCS, 613, shifts=0),
    _case("demucs-shifts", DEMUCS, 613, shifts=2, overlap=0.1),
    _case("hdemucs", HDEMUCS, 613, shifts=1),
    _case("hdemucs-segment", HDEMUCS, 613, shifts=0, segment=0.11, overlap=0.5),
    _case("hdemucs-odd-segment", HDEMUCS, 613, shifts=0, segment=0.1137, overlap=0.3),
    _case("htdemucs", HTDEMUCS, 613, shifts=2),
    _case("htdemucs-segment", HTDEMUCS, 613, shifts=1, segment=0.13),
    _case("htdemucs-short", HTDEMUCS, 37, shifts=1),
    _case("htdemucs-whole", HTDEMUCS, 187, shifts=0, split=False),
    _case("demucs-bag", DEMUCS, 613, shifts=1, bag=[[1.0, 0.0], [0.0, 1.0]]),
    _case("htdemucs-bag", HTDEMUCS, 613, shifts=2, bag=[[0.5, 3.0], [1.0, 0.0], [0.25, 1.0]]),
    # A model that normalizes by itself would hide what is wrong with the level.
    Case(
        "apply-track",
        {**_MODELS[DEMUCS], "normalize": False},
        411,
        signal="quiet",
        apply={"shifts": 1, "track": True},
    ),
)
