"""What estimates are worth: museval's measures, and SI-SDR."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
FRAME = 44100  # samples: museval's frames, which do not overlap
FILTERS = 512  # taps of museval's distortion filters
MEASURES = ("sdr", "isr", "sir", "sar")


@cache
def museval_metrics() -> Any:
    """museval's `metrics`, without the rest of it.

    `import museval` imports musdb and stempeg as well, which refuse to be imported on a machine
    without the programs ffmpeg and ffprobe. Nothing of theirs is used here.
    """
    found = importlib.util.find_spec("museval")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("No module named 'museval'", name="museval")
    path = Path(found.submodule_search_locations[0]) / "metrics.py"
    spec = importlib.util.spec_from_file_location("museval_metrics", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class BSSEval:
    """museval's four measures, (S, frames) each, NaN in frames that it leaves out."""

    sdr: Array
    isr: Array
    sir: Array
    sar: Array

    def median(self, measure: str) -> Array:
        """(S,): the median over frames, as museval takes it; NaN if all frames were left out."""
        frames = np.asarray(getattr(self, measure))
        frames = np.where(np.isinf(frames), np.nan, frames)  # as museval's TrackStore
        heard = ~np.isnan(frames)
        return np.array(
            [np.median(row[k]) if k.any() else np.nan for row, k in zip(frames, heard, strict=True)]
        )


def bss_eval(truth: Array, estimates: Array) -> BSSEval:
    """BSS Eval v4 as `museval.evaluate` calls it, (S, A, T) each.

    A frame in which a stem, or an estimate of one, is digital silence has no measures.

    Raises:
        ImportError: museval, in the extra `music`, is not installed.
        ValueError: a stem or an estimate is silent throughout.
    """
    arrays = (np.moveaxis(np.asarray(x, np.float64), 1, 2) for x in (truth, estimates))
    with np.errstate(invalid="ignore", divide="ignore"):
        measures = museval_metrics().bss_eval(*arrays, window=FRAME, hop=FRAME, filters_len=FILTERS)
    return BSSEval(*measures[:4])


def si_sdr(truth: Array, estimate: Array) -> float:
    """Scale-invariant SDR in dB over all channels; NaN where the truth or its share is silence."""
    s, e = (np.asarray(x, np.float64).ravel() for x in (truth, estimate))
    energy = float(s @ s)
    if not energy:
        return np.nan
    target = s * (float(s @ e) / energy)
    return _decibel(float(target @ target), float(np.sum((e - target) ** 2)))


def sdr(truth: Array, estimate: Array) -> float:
    """SDR in dB over all channels, which is museval's with one frame; NaN for a silent truth."""
    s, e = (np.asarray(x, np.float64) for x in (truth, estimate))
    energy = float(np.sum(s**2))
    return _decibel(energy, float(np.sum((s - e) ** 2))) if energy else np.nan


def level(signal: Array) -> float:
    """Mean power in dB of full scale, -inf for digital silence."""
    return _decibel(float(np.mean(np.asarray(signal, np.float64) ** 2)), 1.0)


def _decibel(energy: float, noise: float) -> float:
    if not energy:
        return np.nan if not noise else -np.inf
    return float(10 * np.log10(energy / noise)) if noise else np.inf
