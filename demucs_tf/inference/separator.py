"""Separate files and arrays with one loaded model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from demucs_tf.errors import AudioError
from demucs_tf.inference.apply import Callback, Model, apply_model
from demucs_tf.inference.chunks import Array
from demucs_tf.inference.settings import ApplySettings
from demucs_tf.utils.audio import check_samples, read_audio
from demucs_tf.utils.audio_convert import convert_audio


@dataclass(frozen=True)
class SeparatorSettings:
    """How a Separator applies its model; `update_parameter` takes these names."""

    shifts: int = 1
    overlap: float = 0.25
    split: bool = True
    segment: float | None = None
    seed: int | None = None
    progress: bool = False
    callback: Callback | None = None
    callback_arg: dict[str, Any] | None = None
    batch_size: int = 1

    def __post_init__(self) -> None:
        ApplySettings(
            shifts=self.shifts,
            overlap=self.overlap,
            segment=self.segment,
            batch_size=self.batch_size,
        )


class Separator:
    """A model with settings, ready for tracks of any length, rate and channel count.

    Args:
        model: a loaded model, or what `demucs_tf.load_model` takes: a checkpoint's path.
        repo: passed on to `demucs_tf.load_model`.
        shifts, overlap, split, segment, progress, callback, callback_arg, batch_size: as in
            `apply_model`; the callback's dict has `audio_length` (samples) in addition.
        seed: as in `apply_model`. Every track starts anew from it, so what a track becomes does
            not depend on the tracks before it.
        dtype: "float32" or "float64", for a model that is loaded here. A loaded one keeps its own.

    Raises:
        ValueError: a setting out of range; found before the model is loaded.
        CheckpointError, ModelNotFoundError: the model can't be loaded.

    Reference: demucs/api.py::Separator
    """

    def __init__(
        self,
        model: Model | str | PathLike[str],
        repo: Path | None = None,
        shifts: int = 1,
        overlap: float = 0.25,
        split: bool = True,
        segment: float | None = None,
        seed: int | None = None,
        progress: bool = False,
        callback: Callback | None = None,
        callback_arg: dict[str, Any] | None = None,
        batch_size: int = 1,
        dtype: str = "float32",
    ) -> None:
        self._settings = SeparatorSettings(
            shifts, overlap, split, segment, seed, progress, callback, callback_arg, batch_size
        )
        self._model = _load(model, repo, dtype) if isinstance(model, (str, PathLike)) else model

    def update_parameter(self, **changes: Any) -> None:
        """Change settings by name, e.g. `update_parameter(shifts=0)`; the others stay.

        Raises:
            TypeError: no such setting (see `SeparatorSettings`).
            ValueError: a value out of range. Nothing is changed then.

        Reference: demucs/api.py::Separator.update_parameter
        """
        self._settings = replace(self._settings, **changes)

    def separate_file(self, path: str | PathLike[str]) -> tuple[Array, dict[str, Array]]:
        """Read an audio file and separate it; see `read_audio` and `separate_tensor`.

        Raises:
            AudioError: the file can't be read or holds no usable audio.

        Reference: demucs/api.py::Separator.separate_audio_file
        """
        return self.separate_tensor(*read_audio(path))

    def separate_tensor(self, wav: Array, sr: int | None = None) -> tuple[Array, dict[str, Array]]:
        """Separate audio that is already in memory.

        Args:
            wav: floating point (channels, T).
            sr: its sample rate in Hz; None: the model's.

        Returns:
            The original at the model's rate and channel count, (A, T), and the stems by source
            name, each (A, T), all in the model's dtype.

        Raises:
            AudioError: samples that are NaN or infinite, fewer than two samples, or channels
                that can't become the model's.

        Reference: demucs/api.py::Separator.separate_tensor
        """
        wav = np.asarray(wav)
        if wav.ndim != 2 or not np.issubdtype(wav.dtype, np.floating):
            raise AudioError(
                f"wav must be floating point (channels, samples), got {wav.dtype} {wav.shape}."
            )
        check_samples(wav, "wav")
        wav = wav.astype(self._model.compute_dtype, copy=False)
        rate = self.samplerate if sr is None else sr
        wav = convert_audio(wav, rate, self.samplerate, self.audio_channels)
        if wav.shape[-1] < 2:
            raise AudioError(
                f"wav has {wav.shape[-1]} samples at {self.samplerate} Hz; at least 2 are needed."
            )
        mean, std = _track_statistics(wav)
        settings = self._settings
        out = apply_model(
            self._model,
            ((wav - mean) / std)[None],
            shifts=settings.shifts,
            split=settings.split,
            overlap=settings.overlap,
            segment=settings.segment,
            progress=settings.progress,
            callback=settings.callback,
            callback_arg={**(settings.callback_arg or {}), "audio_length": wav.shape[-1]},
            seed=settings.seed,
            batch_size=settings.batch_size,
        )
        out *= std
        out += mean
        return wav, dict(zip(self._model.sources, out[0], strict=True))

    @property
    def samplerate(self) -> int:
        """The model's sample rate in Hz."""
        return self._model.samplerate

    @property
    def audio_channels(self) -> int:
        """The model's channel count: 2 for stereo."""
        return self._model.audio_channels

    @property
    def model(self) -> Model:
        """The model that is applied."""
        return self._model


def _track_statistics(wav: Array) -> tuple[Any, Any]:
    """Mean and deviation of the mono mix, as scalars of wav's dtype.

    The deviation is unbiased and the epsilon is added outside the root: demucs/api.py:269-271.
    """
    mono = wav.mean(0)
    mean = mono.mean(dtype=np.float64)
    std = mono.std(dtype=np.float64, ddof=1)
    scalar = wav.dtype.type
    return scalar(mean), scalar(std) + scalar(1e-8)


def _load(source: str | PathLike[str], repo: Path | None, dtype: str) -> Model:
    from demucs_tf import load_model

    model: Model = load_model(source, repo=repo, dtype=dtype)
    return model
