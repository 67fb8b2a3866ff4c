"""The SDR that separation campaigns report, of whole pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def framewise_sdr(stems: Array, estimates: Array, frame: int) -> Array:
    """SDR of each stem in each frame, as museval's `bss_eval` (BSSEval v4) has it.

    museval splits the error into three parts by filters, which takes 20 s for 30 s of music; its
    SDR is that of their sum, which needs no filter. As there, a frame in which a stem or an
    estimate is silent is none.

    Args:
        stems: the truth, (S, A, T).
        estimates: (S, A, T).
        frame: samples; museval's window and hop, which are equal.

    Returns:
        (S, N) in dB, N = T // frame, with NaN in frames that do not count.
    """
    sources, channels, length = stems.shape
    count = length // frame
    shape = (sources, channels, count, frame)
    true, found = (
        np.asarray(each[..., : count * frame], np.float64).reshape(shape)
        for each in (stems, estimates)
    )
    signal = np.sum(true**2, axis=(1, 3))  # (S, N)
    error = np.sum((true - found) ** 2, axis=(1, 3))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios: Array = 10 * np.log10(signal / error)
    silent = [np.all(each.sum(axis=1) == 0, axis=-1).any(axis=0) for each in (true, found)]
    ratios[:, silent[0] | silent[1]] = np.nan
    return ratios


def median_sdr(stems: Array, estimates: Array, frame: int = 44100) -> Array:
    """The median of `framewise_sdr` over the frames that count, (S); NaN if none does."""
    ratios = framewise_sdr(stems, estimates, frame)
    counting = ratios[:, ~np.isnan(ratios).any(axis=0)]
    if not counting.size:
        return np.full(len(stems), np.nan)
    median: Array = np.median(counting, axis=1)
    return median
