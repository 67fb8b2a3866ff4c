"""How much memory a pass of a model needs, held against a bound before work begins.

The estimate counts the numbers that are alive at the widest place of the U-Net for each sample of
the input, and is on the safe side: at published sizes 1.0 to 1.6 times what was measured.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from demucs_tf.errors import MemoryBoundError

SHARE = 0.8  # of the machine's memory that a pass may take
VARIABLE = "DEMUCS_TF_MEMORY"  # another bound, in GB
_GB = 10**9
# What TensorFlow takes for a pass however short: graph, thread pools, copies of weights.
_FIXED = 250 * 10**6
# Maps as wide as the outermost layer's that live at once: its input, both halves of its GLU, what
# its DConv makes of them, and their copies on the way.
_MAPS = 5
# Copies of the output: spectrogram, mask or complex bins, frames of the inverse transform, signal.
_OUTPUTS = 4


def check_memory(model: Any, length: int, items: int) -> None:
    """Refuse a pass that does not fit into memory.

    Args:
        model: a model with a `config`.
        length: of its input, in samples.
        items: inputs of that length that are computed at a time.

    Raises:
        MemoryBoundError: it needs more than the bound. The message has the longest segment that
            fits.
    """
    each = items * numbers_per_sample(model.config) * np.dtype(model.compute_dtype).itemsize
    need, bound = _FIXED + each * length, memory_bound()
    if need <= bound:
        return
    fits = max(0.0, (bound - _FIXED) / each / model.samplerate)
    advice = f"a segment of at most {fits:.3g} s fits" if fits >= 0.1 else "no segment fits"
    times = f" times {items}" if items > 1 else ""
    raise MemoryBoundError(
        f"a pass over {length / model.samplerate:.6g} s{times} needs some {need / _GB:.3g} GB of "
        f"memory, more than the {bound / _GB:.3g} GB that it may take: {advice}. {VARIABLE} sets "
        "another bound, in GB."
    )


def numbers_per_sample(config: Any) -> float:
    """Numbers that a pass holds for each sample of its input, by the arguments of the model."""
    spectral = hasattr(config, "nfft")
    maps = _time_maps(config)
    outputs = len(config.sources) * config.audio_channels
    if spectral:
        maps = [a + b for a, b in zip(_frequency_maps(config), maps, strict=True)]
        # nfft / 2 bins of two numbers in each hop of nfft / 4 samples
        outputs += 4 * outputs * _OUTPUTS
    return sum(maps) + _MAPS * max(maps) + outputs


def _time_maps(config: Any) -> list[float]:
    """Numbers of the output of each encoder layer on the waveform, for a sample of the input."""
    channels = getattr(config, "channels_time", None) or config.channels
    rate = 2 if getattr(config, "resample", False) else 1
    if not getattr(config, "hybrid", True):
        return [0.0] * config.depth
    return [
        channels * rate * config.growth**layer / config.stride ** (layer + 1)
        for layer in range(config.depth)
    ]


def _frequency_maps(config: Any) -> list[float]:
    """The same on the spectrogram, nfft / 2 bins in each hop of nfft / 4 samples."""
    hop, bins, frames = config.nfft // 4, config.nfft // 2, 1.0
    maps = []
    for layer in range(config.depth):
        if bins > 1:
            bins = 1 if bins <= config.kernel_size else bins // config.stride
        else:
            frames /= getattr(config, "time_stride", 2)
        maps.append(config.channels * config.growth**layer * bins * frames / hop)
    return maps


def memory_bound() -> float:
    """Bytes that a pass may take: `SHARE` of the machine's or the container's memory.

    The environment variable DEMUCS_TF_MEMORY sets it in GB.

    Raises:
        ValueError: the variable is no number above 0.
    """
    given = os.environ.get(VARIABLE)
    if given is None:
        return SHARE * _machine()
    try:
        bound = float(given) * _GB
    except ValueError:
        bound = -1.0
    if not bound > 0:
        raise ValueError(f"{VARIABLE} must be a number of GB above 0, got {given!r}.")
    return bound


def _machine() -> float:
    """The bytes of the machine's memory, or of the container's if that has fewer."""
    try:
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on Windows
        return float("inf")
    limits = [float(physical)]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            limits.append(float(Path("/sys/fs/cgroup", name).read_text(encoding="ascii")))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return min(limits)
