"""Cases of time-domain Demucs."""

from __future__ import annotations

from typing import Any

from parity.cases.case import FOUR, TWO, Case


def _demucs(**changes: Any) -> dict[str, Any]:
    """A small Demucs: two layers, four channels. `changes` on top."""
    small = {"sources": TWO, "channels": 4, "depth": 2, "kernel_size": 4, "stride": 2}
    return {**small, **changes}


# The published strides; the small ones of `_demucs` keep more steps of a short input.
_PUBLISHED = {"kernel_size": 8, "stride": 4}

# Eight channels in the bottleneck are two for each head: with one, the scale of the scores is 1.
_ATTENTION = {"dconv_comp": 1, "dconv_attn": 0, "channels": 8}

CASES: tuple[Case, ...] = (
    Case("demucs-default", _demucs(**_PUBLISHED, sources=FOUR), 251),
    Case("demucs-dconv0", _demucs(dconv_mode=0, **_PUBLISHED), 117, note="5 samples of padding"),
    Case("demucs-dconv2", _demucs(dconv_mode=2), 127),
    Case("demucs-dconv3", _demucs(dconv_mode=3), 101, signal="noise"),
    Case("demucs-attention", _demucs(**_ATTENTION, depth=1), 31),
    Case(
        "demucs-attention-decoder",
        _demucs(**{**_ATTENTION, "dconv_attn": 1}, dconv_mode=2, resample=False),
        61,
        batch=2,
    ),
    Case("demucs-lstm", _demucs(dconv_lstm=0, depth=1), 61, batch=2),
    Case(
        "demucs-lstm-framed",
        _demucs(dconv_lstm=0, depth=1, resample=False, sources=["vocals"]),
        607,
        note="304 steps: longer than the 200 frames that a BLSTM sees at once",
    ),
    Case(
        "demucs-lstm-framed-edge",
        _demucs(dconv_lstm=0, depth=1, resample=False, sources=["vocals"], rewrite=False),
        403,
        signal="noise",
        note="201 steps: the first length that is framed",
    ),
    Case(
        "demucs-lstm-attention-norm",
        _demucs(
            **_ATTENTION, dconv_lstm=1, dconv_mode=3, dconv_depth=1, norm_starts=1, norm_groups=2
        ),
        23,
    ),
    Case(
        "demucs-v2",
        _demucs(dconv_mode=0, gelu=False, lstm_layers=2, normalize=False, **_PUBLISHED),
        163,
        signal="noise",
        note="the architecture of Demucs v2 checkpoints",
    ),
    Case("demucs-lstm-layers1", _demucs(lstm_layers=1, dconv_mode=0), 97, batch=3),
    Case("demucs-relu", _demucs(gelu=False, glu=False, dconv_mode=3, dconv_depth=1), 89),
    Case("demucs-no-glu", _demucs(glu=False, depth=1), 83),
    Case("demucs-norm", _demucs(norm_starts=0, norm_groups=4), 103),
    Case("demucs-norm-one-group", _demucs(norm_starts=1, norm_groups=1, rewrite=False), 109),
    Case("demucs-no-rewrite", _demucs(rewrite=False), 113),
    Case(
        "demucs-no-rewrite-norm",
        _demucs(rewrite=False, dconv_mode=2, norm_starts=0, depth=1),
        101,
        note="a norm where Demucs v2 had its second convolution",
    ),
    Case("demucs-no-normalize", _demucs(normalize=False, depth=1), 107, signal="noise"),
    Case("demucs-no-resample", _demucs(resample=False), 211),
    Case("demucs-mono", _demucs(audio_channels=1, sources=FOUR, depth=1), 149),
    Case("demucs-one-source", _demucs(sources=["vocals"], depth=1), 139),
    Case("demucs-no-dilation", _demucs(dconv_depth=-3, depth=1), 79),
    Case("demucs-deep-branches", _demucs(dconv_depth=3, dconv_comp=2, depth=1), 73),
    Case("demucs-context", _demucs(context=2, growth=1.5), 87),
    Case("demucs-no-context", _demucs(context=0), 59),
    Case("demucs-odd-kernel", _demucs(kernel_size=5, stride=3), 137),
    Case("demucs-kernel-equals-stride", _demucs(kernel_size=2, stride=2), 71),
    Case(
        "demucs-one-sample",
        _demucs(normalize=False, dconv_comp=1),
        1,
        signal="noise",
        note="bottlenecks of 4 channels: a norm over two nearly equal numbers shows only luck",
    ),
    Case("demucs-three-samples", _demucs(), 3, signal="noise", batch=2),
    Case("demucs-burst", _demucs(depth=1), 157, signal="burst"),
    Case("demucs-quiet", _demucs(depth=1), 151, signal="quiet"),
    Case(
        "demucs-longer-than-segment",
        _demucs(segment=0.0005, depth=1),
        173,
        note="a segment has 22 samples; the model itself takes any length",
    ),
    Case("demucs-music", _demucs(), 4001, signal="music", stored="live"),
)
