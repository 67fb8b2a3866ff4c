"""What each argument of a model may be. Nothing heavy is imported here."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from demucs_tf.utils.text import brief

# The least and the most of each whole number. What published models have (in brackets) lies far
# inside; beyond, an argument costs time or memory out of all proportion, or overflows.
WHOLE: dict[str, tuple[int, int]] = {
    "audio_channels": (1, 32),  # (2)
    "bottom_channels": (0, 8192),  # (512)
    "channels": (1, 8192),  # (64)
    "channels_time": (1, 8192),
    "context": (0, 32),  # (1) a kernel of 65 steps
    "context_enc": (0, 32),  # (0)
    "dconv_attn": (0, 10**6),  # (4) the index of a layer: more than there are means none
    "dconv_depth": (-10, 10),  # (2) the last branch skips 512 steps
    "dconv_lstm": (0, 10**6),
    "dconv_mode": (0, 3),  # two bits
    "depth": (1, 16),  # (6)
    "end_iters": (-16, 16),
    "kernel_size": (1, 256),  # (8)
    "lstm_layers": (0, 16),  # (2)
    "multi_freqs_depth": (0, 16),  # (2)
    "nfft": (4, 2**16),  # (4096) 1.5 s of one frame
    "norm_groups": (1, 1024),  # (4)
    "norm_starts": (0, 10**6),  # (999)
    "samplerate": (1, 2**20),  # (44100)
    "stride": (1, 64),  # (4) all of them together: see `_LONGEST_STEP`
    "t_group_norm": (0, 1024),  # (False) the number of groups, which True means one of
    "t_heads": (1, 256),  # (8)
    "t_layers": (0, 64),  # (5)
    "t_max_positions": (1, 10**6),  # (10000)
    "t_norm_in_group": (0, 1024),
    "t_norm_out": (0, 1024),
    "t_sin_random_shift": (0, 10**6),  # (0) positions are float32, exact to 1.6e7
    "time_stride": (1, 64),  # (2)
    "wiener_iters": (-16, 16),  # (0) each iteration takes as long as the model
}
# The least and the most of other numbers; 0 itself is left out where nothing may be below it.
NUMBERS: dict[str, tuple[float, float]] = {
    "dconv_comp": (0, 1024),  # (8)
    "dconv_init": (-1e6, 1e6),  # (1e-3)
    "emb_scale": (-1e6, 1e6),  # (10)
    "freq_emb": (-1e6, 1e6),  # (0.2)
    "growth": (0, 16),  # (2)
    "rescale": (0, 1e6),  # (0.1)
    "t_dropout": (0, 1),  # (0.02)
    "t_hidden_scale": (0, 64),  # (4)
    "t_max_period": (0, 1e9),  # (10000)
    "t_weight_pos_embed": (-1e6, 1e6),  # (1)
}
_ANY_NUMBER = (-1e9, 1e9)  # those that only training or sparse attention would need
_MAY_BE_ZERO = ("rescale", "t_dropout")
CHOICES = {"t_emb": ("sin", "scaled", "cape"), "stft": ("fft", "dft")}
_MAX_SOURCES = 100  # (6)
_LONGEST_NAME = 100  # (8) letters
# Samples that the innermost layer takes at once (9,557).
_LONGEST_STEP = 2**18
# Seconds (44, and 7.8), and samples of one segment. Shorter ones that a file or a setting asks for
# would take hours for a song; whoever makes a model may do so.
LONGEST_SEGMENT = 300
SHORTEST_SEGMENT = 0.01
_MOST_SAMPLES = 2**26


def checked(name: str, kind: str, value: Any) -> Any:
    """The argument, as a tuple or a number of Python's own; ValueError out of its range."""
    if getattr(value, "shape", None) == ():
        value = value.item()  # a number of NumPy's
    if name == "segment" or (value is None and "None" in kind):
        return value
    if kind.startswith("Sequence"):
        return _tuple(name, value)
    if name in CHOICES:
        if value not in CHOICES[name]:
            raise ValueError(f"{name} must be one of {CHOICES[name]}, got {brief(value)}.")
    elif kind == "str":
        if not isinstance(value, str):
            raise ValueError(f"{name} must be text, got {brief(value)}.")
    elif kind == "bool":
        if value not in (True, False):
            raise ValueError(f"{name} must be True or False, got {brief(value)}.")
    elif kind.startswith("float"):
        _check_number(name, value)
    else:
        _check_whole(name, value, (int, bool) if "bool" in kind else (int,))
    return value


def _check_whole(name: str, value: Any, kinds: tuple[type, ...]) -> None:
    least, most = WHOLE.get(name, (-(2**63), 2**63))
    if type(value) not in kinds or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {brief(value)}.")
    if value > most:
        raise ValueError(f"{name} must be at most {most}, got {brief(value)}.")


def _check_number(name: str, value: Any) -> None:
    least, most = NUMBERS.get(name, _ANY_NUMBER)
    positive = least == 0 and name not in _MAY_BE_ZERO
    number = isinstance(value, int | float) and -math.inf < value < math.inf
    if not number or (positive and value <= 0):
        kind = "positive" if positive else "finite"
        raise ValueError(f"{name} must be a {kind} number, got {brief(value)}.")
    if not least <= value <= most:
        raise ValueError(f"{name} must be from {least:g} to {most:g}, got {brief(value)}.")


def _tuple(name: str, value: Any) -> tuple[Any, ...]:
    fits, wanted = _ITEMS[name]
    listed = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    if not listed or not all(map(fits, value)):
        raise ValueError(f"{name} must be {wanted}, got {brief(value)}.")
    return tuple(value)


_ITEMS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "sources": (lambda each: isinstance(each, str), "a list of names"),
    "multi_freqs": (lambda each: isinstance(each, int | float) and 0 < each < 1, "shares below 1"),
    "t_cape_glob_loc_scale": (
        lambda each: isinstance(each, int | float) and abs(each) <= _ANY_NUMBER[1],
        "a list of numbers",
    ),
}


def is_plain_name(name: str) -> bool:
    """Whether this can name a file in a folder, and nothing outside of it."""
    return (
        0 < len(name) <= _LONGEST_NAME
        and name.isprintable()
        and not name.startswith(".")
        and not set(name) & set("/\\:")
    )


def check_sources(sources: Sequence[str]) -> None:
    """Refuse what can't be names of files, which stems become, or is no two names of files."""
    if not 0 < len(sources) <= _MAX_SOURCES:
        count = len(sources) or "none"
        raise ValueError(
            f"sources must name at least one stem, and at most {_MAX_SOURCES}, got {count}."
        )
    for stem in sources:
        if not is_plain_name(stem):
            raise ValueError(f"sources must be names of stems, got {brief(stem)}.")
    alike = {unicodedata.normalize("NFKC", stem).casefold() for stem in sources}
    if len(alike) < len(sources):
        raise ValueError(f"sources must be different names, got {brief(sources)}.")


def check_segment(segment: Any, samplerate: int) -> None:
    """Refuse a segment of no length, or one that no machine could work on."""
    number = isinstance(segment, int | float | Fraction) and not isinstance(segment, bool)
    if not number or not 0 < segment < math.inf:
        raise ValueError(f"segment must be a positive number, got {brief(segment)}.")
    if segment > LONGEST_SEGMENT or segment * samplerate > _MOST_SAMPLES:
        raise ValueError(
            f"a segment of {brief(segment)} s at {samplerate} Hz is more than can be worked on: "
            f"at most {LONGEST_SEGMENT} s and {_MOST_SAMPLES} samples."
        )


def check_dtype(dtype: str) -> None:
    """ValueError for a type that no model has."""
    if dtype not in ("float32", "float64"):
        raise ValueError(f'dtype must be "float32" or "float64", got {dtype!r}.')


def check_step(step: int) -> None:
    """Refuse an innermost layer that takes very many samples: input is padded to so many."""
    if step > _LONGEST_STEP:
        raise ValueError(
            f"The innermost layer takes {brief(step)} samples at once, wanted at most "
            f"{_LONGEST_STEP}: make stride, time_stride, kernel_size or depth smaller."
        )


def check_hybrid(config: Any) -> None:
    """Refuse arguments of a hybrid model that do not belong together."""
    if config.nfft % 4:
        raise ValueError(f"nfft must be a multiple of 4, got {config.nfft}.")
    if config.hybrid_old and not config.hybrid:
        raise ValueError("hybrid_old is a kind of hybrid model: it needs hybrid=True.")
    if config.hybrid and config.wiener_iters != config.end_iters:
        raise ValueError(
            "A hybrid model needs wiener_iters equal to end_iters, got "
            f"{config.wiener_iters} and {config.end_iters}."
        )
    if not config.cac and config.wiener_iters > 0 and config.audio_channels > 2:
        raise ValueError(
            "Wiener filtering is for one or two audio channels, got "
            f"{config.audio_channels}: set wiener_iters to 0 or less."
        )
