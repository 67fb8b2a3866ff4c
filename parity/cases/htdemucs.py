"""Cases of HTDemucs."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from parity.cases.case import HTDEMUCS, TWO, Case

_RATE = 44100


def _seconds(samples: int) -> Fraction:
    return Fraction(samples, _RATE)


_SMALL = {
    "sources": TWO,
    "channels": 8,
    "nfft": 16,
    "depth": 1,
    "kernel_size": 4,
    "stride": 2,
    "dconv_mode": 0,
    "t_layers": 2,
    "t_heads": 2,
    "t_hidden_scale": 1.5,
    "segment": _seconds(23),
}
_ANY_LENGTH = {"use_train_segment": False}


def _case(name: str, config: dict[str, Any], length: int = 23, **options: Any) -> Case:
    return Case(f"htdemucs-{name}", {**_SMALL, **config}, length, reference=HTDEMUCS, **options)


CASES: tuple[Case, ...] = (
    _case(
        "default",
        {
            "kernel_size": 8,
            "stride": 4,
            "nfft": 256,
            "depth": 2,
            "channels": 4,
            "dconv_mode": 3,
            "dconv_comp": 2,
            "bottom_channels": 8,
            "segment": Fraction(1, 180),
        },
        233,
        note="the structure of htdemucs; 12 samples short of the training length",
    ),
    _case("plain", {}, batch=2),
    _case("longer", {**_ANY_LENGTH}, 25, batch=2),
    _case("shorter", {}, 14, signal="noise"),
    _case("two-samples", {}, 2, signal="noise"),
    _case("one-sample-any-length", {**_ANY_LENGTH, "freq_emb": 0}, 1, signal="noise"),
    _case("below-one-window", {**_ANY_LENGTH}, 11, signal="noise"),
    _case("float-segment", {"segment": 0.001, "samplerate": 44000}, 39, note="44 samples"),
    _case("mono", {"audio_channels": 1, "sources": ["vocals"]}),
    _case("dft", {}, port={"stft": "dft"}),
    _case("dconv", {"dconv_mode": 1, "dconv_comp": 4, "t_layers": 1}),
    _case("depth2", {"nfft": 32, "depth": 2, "t_layers": 1, "channels": 4}),
    _case("merged", {"depth": 2, "t_layers": 1, "channels": 4}, note="one frequency is left"),
    _case("bands", {"nfft": 32, "multi_freqs": [0.4], "multi_freqs_depth": 1, "t_layers": 1}),
    _case("masks", {"cac": False, "wiener_iters": -1, "end_iters": -1, "t_layers": 1}),
    _case("wiener", {"cac": False, "wiener_iters": 1, "end_iters": 1, "t_layers": 1}),
    _case(
        "wiener-residual",
        {
            "cac": False,
            "wiener_iters": 1,
            "end_iters": 1,
            "wiener_residual": True,
            "t_layers": 1,
        },
    ),
    _case("norms", {"norm_starts": 0, "norm_groups": 2, "t_layers": 1}),
    # The transformer
    _case("no-transformer", {"t_layers": 0}),
    _case("bottom", {"bottom_channels": 12, "t_heads": 3}),
    _case("one-head", {"t_heads": 1, "t_hidden_scale": 0.5}),
    _case("cross-first", {"t_cross_first": True, "t_layers": 3}),
    _case("norm-in-group", {"t_norm_in": False, "t_norm_in_group": True}),
    _case("no-norm-in", {"t_norm_in": False}),
    _case("group-norm", {"t_group_norm": True}),
    _case("norm-last", {"t_norm_first": False}),
    _case("norm-last-group", {"t_norm_first": False, "t_group_norm": True}),
    _case("no-norm-out", {"t_norm_out": False}),
    _case("relu-no-scale", {"t_gelu": False, "t_layer_scale": False}),
    _case("scaled", {"t_emb": "scaled", "t_max_positions": 40}),
    _case("cape", {"t_emb": "cape"}, batch=2),
    _case("cape-from-zero", {"t_emb": "cape", "t_cape_mean_normalize": False, "t_layers": 1}),
    _case("random-shift", {"t_sin_random_shift": 1000, "t_layers": 1}),
    _case("period", {"t_max_period": 100.0, "t_weight_pos_embed": 0.3, "t_layers": 1}),
    _case("dropout", {"t_dropout": 0.5, "t_layers": 1}, note="off outside of training"),
    _case(
        "tokens",
        {"t_layers": 1, "segment": _seconds(435), "nfft": 8, "channels": 4, "rewrite": False},
        435,
        note="436 tokens of the spectrogram: several blocks of queries",
    ),
    _case(
        "wide",
        {
            "sources": ["vocals"],
            "audio_channels": 1,
            "segment": _seconds(3),
            "nfft": 8,
            "channels": 4,
            "bottom_channels": 64,
            "t_layers": 1,
            "t_heads": 1,
            "t_hidden_scale": 0.1,
            "t_max_period": 1000.0,
            "t_norm_in": False,
            "t_norm_first": False,
            "t_layer_scale": False,
        },
        3,
        note="32 periods, a whole block of torch's power: one is not correctly rounded, nor is one "
        "of the frequencies",
    ),
    _case("music", {"segment": _seconds(4001)}, 4001, signal="music", stored="live"),
)
