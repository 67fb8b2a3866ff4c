"""Constructor arguments out of a file, checked before a model is made of them.

A file may ask for a model that fills the memory before its weights are compared with those that
the file has. So the numbers are held to their ranges, and a lower bound of the model's size to what
the file holds. Whether the arguments belong together the models check themselves.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

from demucs_tf.errors import CheckpointError
from demucs_tf.utils.text import brief

# A model may need this many times the numbers that the checkpoint has, before it is made at all.
# A mere mismatch is reported by weight; arguments that would fill the memory are stopped here.
_MAX_GROWTH = 4
_ALWAYS_FINE = 2**22
# A layer takes up memory besides its weights: as much as so many of them.
_LAYER = 1000
# And time: some 30 ms. Each has at least one weight in the file, with a few to spare so that a mere
# mismatch is reported by weight; the largest published model has 23.
_SPARE_LAYERS = 20
_MAX_LAYERS = 200

# Whole numbers and the least that each may be.
_WHOLE = {
    "audio_channels": 1,
    "bottom_channels": 0,
    "channels": 1,
    "context": 0,
    "context_enc": 0,
    "dconv_attn": 0,
    "dconv_lstm": 0,
    "dconv_mode": 0,
    "depth": 1,
    "kernel_size": 1,
    "lstm_layers": 0,
    "multi_freqs_depth": 0,
    "nfft": 4,
    "norm_groups": 1,
    "samplerate": 1,
    "stride": 1,
    "t_heads": 1,
    "t_layers": 0,
    "t_max_positions": 1,
    "t_sin_random_shift": 0,
    "time_stride": 1,
}
_POSITIVE = ("dconv_comp", "growth", "segment", "t_hidden_scale", "t_max_period")
_FINITE = ("dconv_init", "emb_scale", "freq_emb", "t_dropout", "t_weight_pos_embed")
# Hz, seconds, and samples of one chunk: beyond these a moment of audio fills the memory.
_MAX_RATE = 2**20
MAX_SEGMENT = 3600
_MAX_SAMPLES = 2**28


def check_arguments(
    cls: type[Any],
    arguments: Mapping[str, Any],
    total: int,
    growth: int = _MAX_GROWTH,
    arrays: int = _MAX_LAYERS,
) -> None:
    """Refuse arguments that are out of range, or of a model far larger than the weights.

    Args:
        cls: a port.
        arguments: of its constructor, by name; others have their defaults.
        total: how many numbers the weights in the file are.
        growth: how many times as many the model may need; few more than that are always fine.
        arrays: how many arrays they are; each layer has at least one.

    Raises:
        CheckpointError: naming the argument, or the sizes.
    """
    defaults = inspect.signature(cls).parameters
    given = {name: arguments.get(name, defaults[name].default) for name in defaults}
    _check_ranges(given)
    model = SimpleNamespace(**{**_NONE_OF_IT, **given})
    layers = _layers(model)
    limit = min(arrays + _SPARE_LAYERS, _MAX_LAYERS)
    if layers > limit:
        raise CheckpointError(
            f"they describe a model of more than {limit} layers of weights, and the file holds "
            f"{arrays} weights."
        )
    limit = growth * total + _ALWAYS_FINE
    needed = _LAYER * layers
    for part in _parts(model):
        needed += part
        if needed > limit:
            raise CheckpointError(
                f"they describe a model of more than {limit} weights, and the file holds {total}."
            )


def _check_ranges(given: Mapping[str, Any]) -> None:
    sources = given["sources"]
    if not isinstance(sources, list | tuple) or not all(isinstance(s, str) for s in sources):
        raise CheckpointError(f"sources must be a list of names, got {brief(sources)}.")
    if not sources:
        raise CheckpointError("sources must name at least one stem, got none.")
    for stem in sources:  # they become names of files
        if not stem.isprintable() or not 0 < len(stem) <= 100 or set(stem) & set("/\\"):
            raise CheckpointError(f"sources must be names of stems, got {brief(stem)}.")
    for name, least in _WHOLE.items():
        if name in given and not (type(given[name]) is int and given[name] >= least):
            raise CheckpointError(
                f"{name} must be a whole number of at least {least}, got {brief(given[name])}."
            )
    for name in _POSITIVE:
        value = given.get(name, 1)
        if not isinstance(value, int | float | Fraction) or not 0 < value < math.inf:
            raise CheckpointError(f"{name} must be a positive number, got {brief(value)}.")
    for name in _FINITE:
        value = given.get(name, 0)
        if name == "freq_emb" and value is None:
            continue
        if not isinstance(value, int | float | Fraction) or not -math.inf < value < math.inf:
            raise CheckpointError(f"{name} must be a finite number, got {brief(value)}.")
    rate, segment = given["samplerate"], float(given["segment"])
    if rate > _MAX_RATE or segment > MAX_SEGMENT or rate * segment > _MAX_SAMPLES:
        raise CheckpointError(
            f"a segment of {brief(segment)} s at {brief(rate)} Hz is more than can be worked on."
        )
    if type(given["dconv_depth"]) is not int:
        raise CheckpointError(f"dconv_depth must be whole, got {brief(given['dconv_depth'])}.")
    width = given.get("channels_time")
    if width is not None and not (type(width) is int and width >= 1):
        raise CheckpointError(f"channels_time must be None or at least 1, got {brief(width)}.")
    splits = given.get("multi_freqs") or ()
    if not isinstance(splits, list | tuple) or not all(0 < ratio < 1 for ratio in splits):
        raise CheckpointError(f"multi_freqs must be shares below 1, got {brief(splits)}.")


# What a class does not have, so that one count does for all.
_NONE_OF_IT: dict[str, Any] = {
    "bottom_channels": 0,
    "channels_time": None,
    "context_enc": 0,
    "dconv_attn": None,
    "dconv_lstm": None,
    "freq_emb": 0,
    "glu": True,
    "hybrid": True,
    "lstm_layers": 0,
    "multi_freqs": None,
    "multi_freqs_depth": 0,
    "nfft": 0,  # no spectrogram
    "t_layers": 0,
    "time_stride": 2,
}


def _layers(a: SimpleNamespace) -> int:
    """Encoder layers, the branches in them, and those of LSTM and transformer."""
    a.bands = len(a.multi_freqs or ()) + 1
    split = min(a.depth, a.multi_freqs_depth) * a.bands
    layers: int = (a.depth + split) * (1 + abs(a.dconv_depth)) + a.lstm_layers + a.t_layers
    return layers


def _parts(a: SimpleNamespace) -> Iterator[int]:
    """Numbers of weights that add up to a lower bound of the model's, the quick ones first."""
    yield a.nfft  # a window
    yield (len(a.sources) - 1) * a.audio_channels * a.channels * a.kernel_size
    if a.nfft:
        yield from _u_net(a, a.channels, along_frequency=True)
        if a.hybrid:
            yield from _u_net(a, a.channels_time or a.channels, along_frequency=False)
        if a.freq_emb:
            yield a.nfft // 2 // a.stride * a.channels
    else:
        yield from _u_net(a, a.channels, along_frequency=False)
    # It was not too many layers, so this is no huge power.
    width = int(a.channels * a.growth ** (a.depth - 1))
    yield a.lstm_layers * 18 * width**2
    if a.bottom_channels:
        yield 4 * a.bottom_channels * width
    if a.t_layers:
        width = a.bottom_channels or width
        yield a.t_layers * 4 * (2 * width**2 + width * int(width * a.t_hidden_scale))
        yield a.t_max_positions * width if a.t_emb == "scaled" else 0


def _u_net(a: SimpleNamespace, width: int, along_frequency: bool) -> Iterator[int]:
    """Encoder and decoder of one branch."""
    below, freqs = a.audio_channels, a.nfft // 2
    beside = a.channels_time or a.channels
    for index in range(a.depth):
        if along_frequency and 1 < freqs <= a.kernel_size:
            width = max(width, beside)
        split = along_frequency and index < a.multi_freqs_depth and a.bands > 1
        kernel, axes = a.kernel_size, 1
        if along_frequency and freqs > 1:
            kernel, axes = min(kernel, freqs), 2
        elif along_frequency:
            kernel = 2 * a.time_stride
        count = 2 * kernel * below * width
        if not along_frequency and a.nfft and freqs <= a.kernel_size:
            yield count
            return  # here the branch joins the other one
        if a.rewrite:
            kernels = (1 + 2 * a.context_enc) ** axes + (1 + 2 * a.context) ** (axes - split)
            count += kernels * (2 if a.glu else 1) * width**2
        branches = ((a.dconv_mode & 1) + (a.dconv_mode & 2) // 2) * abs(a.dconv_depth)
        count += branches * _branch(a, index, width)
        yield count * (a.bands if split else 1)
        below, width, beside = width, int(a.growth * width), int(a.growth * beside)
        freqs = 1 if freqs <= a.kernel_size else freqs // a.stride


def _branch(a: SimpleNamespace, index: int, width: int) -> int:
    """One branch of a DConv."""
    hidden = int(width / a.dconv_comp)
    count = 5 * width * hidden
    if a.dconv_lstm is not None and index >= a.dconv_lstm:
        count += 42 * hidden**2
    if a.dconv_attn is not None and index >= a.dconv_attn:
        count += 4 * hidden**2
    return count
