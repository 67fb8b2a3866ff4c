"""What a pass of a model may take, held against what it would take before work begins."""

from __future__ import annotations

import math
import os
from bisect import bisect_left
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from demucs_tf.errors import MemoryBoundError, WorkBoundError
from demucs_tf.inference.cost import cost_of
from demucs_tf.models.ranges import LONGEST_SEGMENT

SHARE = 0.8  # of the machine's memory that a pass may take
MEMORY = "DEMUCS_TF_MEMORY"  # another bound, in GB
_GB = 10**9
# Times the work of htdemucs that a pass may take for a second of audio. Published models take up to
# 1, and 12 where they see 300 s at once; with 30, a song keeps one processor busy for an hour.
MOST_WORK = 30.0
WORK = "DEMUCS_TF_WORK"  # another bound


def check_cost(model: Any, length: int, items: int, most: int | None = None) -> None:
    """Refuse a pass that takes more memory or work than it may.

    The bound of memory is held against what a pass takes above the model itself, which is there.

    Args:
        model: a model with a `config`.
        length: of its input, in samples.
        items: inputs of that length that are computed at a time.
        most: how many there may be of shorter ones; None: `items`.

    Raises:
        MemoryBoundError, WorkBoundError: it is beyond a bound. The message has the longest segment
            that is not.
    """
    config, rate = model.config, model.samplerate
    if getattr(config, "use_train_segment", False):
        length = max(length, model.training_length)
    seconds, size = length / rate, np.dtype(model.compute_dtype).itemsize
    cost = cost_of(config)
    need, bound = cost.bytes(length, items, size), memory_bound()
    if need > bound:
        times = f" times {items}" if items > 1 else ""
        advice = _advice(model, lambda n: cost.bytes(n, most or items, size) <= bound, length)
        raise MemoryBoundError(
            f"a pass over {seconds:.6g} s{times} needs some {need / _GB:.3g} GB of memory, more "
            f"than the {bound / _GB:.3g} GB that it may take: {advice}. {MEMORY} sets another "
            "bound, in GB."
        )
    work, limit = cost.work(length, rate), _given(WORK, "number above 0", MOST_WORK)
    if work > limit:
        advice = _advice(model, lambda n: cost.work(n, rate) <= limit, length)
        raise WorkBoundError(
            f"a pass over {seconds:.6g} s takes some {work:.3g} times the work that htdemucs takes "
            f"for as much audio, more than the {limit:g} times that it may: {advice}. {WORK} sets "
            "another bound."
        )


def _advice(model: Any, fits: Callable[[int], bool], length: int) -> str:
    """The longest segment whose input `fits`, which is shorter than `length` samples."""
    if getattr(model.config, "use_train_segment", False):
        return "no shorter segment helps, since the model pads its input to that"
    valid_length = getattr(model, "valid_length", int)
    shorter = range(1, min(length, LONGEST_SEGMENT * model.samplerate) + 1)
    count = bisect_left(shorter, True, key=lambda each: not fits(valid_length(each)))
    seconds = math.floor(100 * count / model.samplerate) / 100
    return f"a segment of at most {seconds:g} s fits" if seconds >= 0.1 else "no segment fits"


def memory_bound() -> float:
    """Bytes that a pass may take: `SHARE` of the machine's or the container's memory.

    The environment variable DEMUCS_TF_MEMORY sets it in GB.

    Raises:
        ValueError: the variable is no number above 0.
    """
    return _given(MEMORY, "number of GB above 0", SHARE * _machine() / _GB) * _GB


def _given(variable: str, wanted: str, default: float) -> float:
    given = os.environ.get(variable)
    if given is None:
        return default
    with suppress(ValueError):
        if (number := float(given)) > 0:
            return number
    raise ValueError(f"{variable} must be a {wanted}, got {given!r}.")


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
