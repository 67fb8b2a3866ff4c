"""Cases of HDemucs: on the spectrogram and the waveform, or on the spectrogram alone."""

from __future__ import annotations

from typing import Any

from parity.cases.case import FOUR, HDEMUCS, TWO, Case

# The frequency branch must get from nfft / 2 to one frequency just where the time branch has come
# to the same number of steps: nfft = 4 stride^n for n layers along frequency.
_SMALL = {
    "sources": TWO,
    "channels": 4,
    "nfft": 16,
    "depth": 2,
    "kernel_size": 4,
    "stride": 2,
    "dconv_mode": 0,
}
_PUBLISHED = {"kernel_size": 8, "stride": 4, "nfft": 64, "depth": 3}
# Three layers along frequency, of which the first can be split into bands.
_DEEP = {"nfft": 32, "depth": 3}
_MASKS = {"cac": False}


def _wiener(iterations: int, **changes: Any) -> dict[str, Any]:
    return {**_MASKS, "wiener_iters": iterations, "end_iters": iterations, **changes}


def _case(name: str, config: dict[str, Any], length: int, **options: Any) -> Case:
    return Case(f"hdemucs-{name}", {**_SMALL, **config}, length, reference=HDEMUCS, **options)


CASES: tuple[Case, ...] = (
    _case(
        "default",
        {
            **_PUBLISHED,
            "sources": FOUR,
            "dconv_mode": 1,
            "dconv_comp": 2,
            "dconv_attn": 2,
            "dconv_lstm": 2,
            "norm_starts": 2,
        },
        215,
        note="the published kernel and stride; LSTM, attention and norms behind the merge",
    ),
    _case("plain", {}, 37, batch=2),
    _case("dconv3", {"dconv_mode": 3, "dconv_comp": 2}, 41, signal="noise"),
    _case("dconv2-no-dilation", {"dconv_mode": 2, "dconv_depth": -2, "dconv_comp": 2}, 35),
    _case(
        "lstm-framed",
        {
            "nfft": 8,
            "depth": 1,
            "dconv_mode": 1,
            "dconv_lstm": 0,
            "dconv_comp": 2,
            "dconv_depth": 1,
            "sources": ["vocals"],
            "rewrite": False,
        },
        405,
        note="203 steps of one frequency in the LSTM, cut into frames",
    ),
    _case("time-layers", {"depth": 4}, 49, note="two layers behind the merge"),
    _case("time-stride", {"depth": 3, "time_stride": 3}, 61),
    # Padding and transforms
    _case("old", {"hybrid_old": True}, 37),
    _case("old-whole-hops", {"hybrid_old": True}, 40, signal="noise"),
    _case("whole-hops", {}, 40, signal="noise"),
    _case("dft", {}, 63, port={"stft": "dft"}),
    _case("dft-published", {**_PUBLISHED, "depth": 2}, 71, port={"stft": "dft"}),
    _case("one-sample", {"freq_emb": 0}, 1, signal="noise", batch=2),
    _case("below-one-hop", {}, 3, signal="noise", batch=4),
    _case("below-one-window", {}, 11, signal="noise"),
    # Spectrogram only
    _case("spectrogram", {"hybrid": False}, 37),
    _case(
        "spectrogram-two-frequencies",
        {"hybrid": False, "depth": 3, "kernel_size": 6, "stride": 4},
        37,
        note="the last layer along frequency is left with two, which no hybrid model can be",
    ),
    _case("spectrogram-shortest", {"hybrid": False}, 9, signal="noise"),
    _case(
        "spectrogram-masks",
        {**_MASKS, "hybrid": False, "wiener_iters": -1, "end_iters": 0},
        57,
        note="only hybrid models need the same number of iterations in training",
    ),
    _case("spectrogram-wiener", {**_wiener(1), "hybrid": False}, 41, batch=2),
    # Masks and the Wiener filter
    _case("masks", _wiener(-1), 37),
    _case("masks-silence", _wiener(-1), 47, signal="burst"),
    _case("wiener0", _wiener(0), 37),
    _case("wiener0-residual", _wiener(0, wiener_residual=True), 47, signal="burst"),
    _case("wiener1", _wiener(1), 37),
    _case("wiener2-residual", _wiener(2, wiener_residual=True), 47, signal="burst"),
    _case("wiener-loud", _wiener(2), 53, signal="loud", note="scaled down before iterating"),
    _case("wiener-mono", _wiener(1, audio_channels=1), 67),
    _case(
        "wiener-windows",
        _wiener(1, nfft=8, depth=1, sources=["vocals"], rewrite=False, freq_emb=0),
        607,
        note="304 frames: more than the 300 that the filter sees at once",
    ),
    # Frequency bands
    _case("multi", {**_DEEP, "multi_freqs": [0.4], "multi_freqs_depth": 1}, 37),
    _case(
        "multi-three-bands",
        {
            "nfft": 64,
            "depth": 4,
            "multi_freqs": [0.3, 0.6],
            "multi_freqs_depth": 2,
            "sources": ["vocals"],
        },
        65,
    ),
    _case(
        "multi-dconv",
        {
            **_DEEP,
            "multi_freqs": [0.5],
            "multi_freqs_depth": 1,
            "dconv_mode": 3,
            "dconv_comp": 2,
            "dconv_depth": 1,
            "context": 0,
        },
        31,
    ),
    _case(
        "multi-wide-stride",
        {
            "nfft": 256,
            "depth": 3,
            "kernel_size": 16,
            "stride": 8,
            "multi_freqs": [0.4],
            "multi_freqs_depth": 1,
            "sources": ["vocals"],
        },
        200,
        note="a half of the stride and a third of it are not one number of rows",
    ),
    # Embedding, widths, norms, contexts
    _case("no-embedding", {"freq_emb": 0}, 37),
    _case("embedding", {"freq_emb": 1.5, "emb_scale": 3, "emb_smooth": False}, 37),
    _case("channels-time", {**_DEEP, "channels_time": 6}, 37, note="wider than the other branch"),
    _case("channels-time-narrow", {"channels_time": 2}, 37),
    _case("growth", {**_DEEP, "growth": 1.5}, 37),
    _case("norm", {"norm_starts": 0, "norm_groups": 2}, 37),
    _case("norm-one-group", {"norm_starts": 1, "norm_groups": 1, "depth": 3}, 37, signal="noise"),
    _case("context", {"context": 2, "context_enc": 1}, 37),
    _case("no-context", {"context": 0}, 37),
    _case("no-rewrite", {"rewrite": False}, 37),
    _case("mono", {"audio_channels": 1, "sources": ["vocals"]}, 37),
    _case("quiet", {}, 37, signal="quiet"),
    _case("burst", {}, 47, signal="burst"),
    _case("music", {"dconv_mode": 1}, 4001, signal="music", stored="live"),
)
