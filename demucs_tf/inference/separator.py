"""Separate files and arrays with one loaded model."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np

from demucs_tf.audio.checks import check_rate, check_samples
from demucs_tf.audio.convert import convert_audio, convert_blocks
from demucs_tf.audio.reader import open_audio
from demucs_tf.audio.samples import blocks_of
from demucs_tf.errors import AudioError
from demucs_tf.inference.apply import Application, needed_members
from demucs_tf.inference.arrays import Allocate, Array, DiskArray, Levelled, Samples, in_memory
from demucs_tf.inference.engine import device_name
from demucs_tf.inference.settings import ApplySettings
from demucs_tf.inference.single import Callback, Model
from demucs_tf.models.bag import BagOfModels, longest_segment

OtherMethod = Literal["add", "minus", "none"]
# What the rest is called, in front of the name of the stem.
REST = {"add": "no_", "minus": "minus_"}


class Audio(Protocol):
    """What `Separator.stream` reads: `demucs_tf.utils.audio.AudioStream` is one."""

    rate: int

    def blocks(self) -> Iterator[Array]:
        """Yield all samples, in order, as float32 (channels, n)."""


@dataclass(frozen=True)
class SeparatorSettings:
    """How a Separator applies its model; `update_parameter` takes these names."""

    device: str | None = None
    shifts: int = 1
    overlap: float = 0.25
    split: bool = True
    segment: float | None = None
    jobs: int = 0
    progress: bool = False
    callback: Callback | None = None
    callback_arg: dict[str, Any] | None = None
    seed: int | None = None
    batch_size: int = 1
    engine: str = "auto"
    two_stems: str | None = None
    other_method: OtherMethod = "add"

    def __post_init__(self) -> None:
        self.applied()
        if self.other_method not in get_args(OtherMethod):
            wanted = ", ".join(get_args(OtherMethod))
            raise ValueError(f"other_method must be one of {wanted}, got {self.other_method!r}.")

    def applied(self) -> ApplySettings:
        """What of it concerns `apply_model`."""
        return ApplySettings(
            shifts=self.shifts,
            split=self.split,
            overlap=self.overlap,
            segment=self.segment,
            progress=self.progress,
            seed=self.seed,
            batch_size=self.batch_size,
            num_workers=self.jobs,
            engine=self.engine,
            device=self.device,
        )


class Separator:
    """A model with settings, ready for tracks of any length, rate and channel count.

    Args:
        model: a loaded model or bag, or what `demucs_tf.load_model` takes: a name, or a
            checkpoint's path.
        repo: passed on to `demucs_tf.load_model`.
        device: "cpu", "gpu", "gpu:1" (or "cuda", as the reference says); None: a GPU if there is
            one.
        shifts, overlap, split, segment, progress, callback, callback_arg, batch_size, engine: as in
            `apply_model`; the callback's dict has `audio_length` (samples) in addition.
        jobs: `num_workers` of `apply_model`.
        seed: as in `apply_model`. Every track starts anew from it, so what a track becomes does
            not depend on the tracks before it.
        two_stems: separate into this source and the rest.
        other_method: the rest is the sum of the other stems ("add", "no_vocals"), the mixture less
            the stem ("minus", "minus_vocals"), or left out ("none"). With the last two, only those
            members of a bag run that have a weight for the stem.
        dtype: "float32" or "float64", for a model that is loaded here. A loaded one keeps its own.
        allow_legacy: passed on to `demucs_tf.load_model`.

    Raises:
        ValueError: a setting out of range, found before the model is loaded; a device that is not
            there; a stem that the model does not have, or a segment longer than it takes.
        CheckpointError, ModelNotFoundError: the model can't be loaded.

    Reference: demucs/api.py::Separator
    """

    def __init__(
        self,
        model: Model | BagOfModels | str | PathLike[str] = "htdemucs",
        repo: str | PathLike[str] | None = None,
        device: str | None = None,
        shifts: int = 1,
        overlap: float = 0.25,
        split: bool = True,
        segment: float | None = None,
        jobs: int = 0,
        progress: bool = False,
        callback: Callback | None = None,
        callback_arg: dict[str, Any] | None = None,
        seed: int | None = None,
        batch_size: int = 1,
        engine: str = "auto",
        two_stems: str | None = None,
        other_method: OtherMethod = "add",
        dtype: str = "float32",
        allow_legacy: bool = False,
    ) -> None:
        self._settings = SeparatorSettings(
            device=device,
            shifts=shifts,
            overlap=overlap,
            split=split,
            segment=segment,
            jobs=jobs,
            progress=progress,
            callback=callback,
            callback_arg=callback_arg,
            seed=seed,
            batch_size=batch_size,
            engine=engine,
            two_stems=two_stems,
            other_method=other_method,
        )
        self._model = (
            _load(model, repo, device, dtype, allow_legacy)
            if isinstance(model, (str, PathLike))
            else model
        )
        self._check(self._settings)

    def update_parameter(self, **changes: Any) -> None:
        """Change settings by name, e.g. `update_parameter(shifts=0)`; the others stay.

        Raises:
            TypeError: no such setting (see `SeparatorSettings`).
            ValueError: a value out of range, or one that does not fit the model. Nothing is
                changed then.

        Reference: demucs/api.py::Separator.update_parameter
        """
        if unknown := changes.keys() - vars(self._settings).keys():
            known = ", ".join(vars(self._settings))
            raise TypeError(f"update_parameter: {sorted(unknown)[0]!r} is none of {known}.")
        settings = replace(self._settings, **changes)
        self._check(settings)
        self._settings = settings

    def separate_file(self, path: str | PathLike[str]) -> tuple[Array, dict[str, Array]]:
        """Read an audio file and separate it; see `separate_tensor`.

        Raises:
            AudioError: the file can't be read or holds no usable audio.

        Reference: demucs/api.py::Separator.separate_audio_file
        """
        with open_audio(path) as audio:
            wav = np.concatenate(list(self._converted(audio)), axis=-1)
        return self._whole(wav)

    separate_audio_file = separate_file  # the reference's name

    def separate_tensor(self, wav: Array, sr: int | None = None) -> tuple[Array, dict[str, Array]]:
        """Separate audio that is already in memory.

        Args:
            wav: floating point (channels, T).
            sr: its sample rate in Hz; None: the model's.

        Returns:
            The original at the model's rate and channel count, (A, T), and the stems by name,
            each (A, T), all in the model's dtype.

        Raises:
            AudioError: samples that are NaN or infinite, fewer than two samples, channels that
                can't become the model's, or without `split` more than the model takes at once.
            ValueError: `sr` is no whole number above 0.

        Reference: demucs/api.py::Separator.separate_tensor
        """
        wav = np.asarray(wav)
        rate = self.samplerate if sr is None else sr
        check_rate(rate)
        if wav.ndim != 2 or not np.issubdtype(wav.dtype, np.floating):
            raise AudioError(
                f"wav must be floating point (channels, samples), got {wav.dtype} {wav.shape}."
            )
        check_samples(wav, "wav")
        wav = wav.astype(self._model.compute_dtype, copy=False)
        return self._whole(convert_audio(wav, int(rate), self.samplerate, self.audio_channels))

    def stream(
        self, audio: Audio, scratch: Path | None = None
    ) -> Generator[tuple[Array, dict[str, Array]], None, None]:
        """Separate a track of any length in bounded memory.

        The track is read and converted to a temporary file first, because its level has to be
        known. More than one shift needs another one, as large as all stems, as long as it takes,
        and so does more than one model of a bag.

        Args:
            audio: an open file, see `demucs_tf.utils.audio.open_audio`.
            scratch: folder for temporary files without names; None: the system's, which on some
            systems is memory.

        Yields:
            Consecutive pieces of what `separate_tensor` returns, with the same bits.

        Raises:
            AudioError: the file can't be read to its end or holds no usable audio.
            OSError: no room for the temporary files.
        """
        on_disk = partial(DiskArray, folder=scratch)
        with on_disk((self.audio_channels, 0), np.dtype(self._model.compute_dtype)) as wav:
            for block in self._converted(audio):
                wav.append(block)
            yield from self._pieces(wav, on_disk)

    def _converted(self, audio: Audio) -> Iterator[Array]:
        dtype = np.dtype(self._model.compute_dtype)
        return convert_blocks(
            audio.blocks(), audio.rate, self.samplerate, self.audio_channels, dtype
        )

    def _whole(self, wav: Array) -> tuple[Array, dict[str, Array]]:
        stems = {name: np.empty_like(wav) for name in self.stems}
        stop = 0
        for origin, pieces in self._pieces(wav, in_memory):
            start, stop = stop, stop + origin.shape[-1]
            for name, piece in pieces.items():
                stems[name][:, start:stop] = piece
        return wav, stems

    def _pieces(self, wav: Samples, allocate: Allocate) -> Iterator[tuple[Array, dict[str, Array]]]:
        length = wav.shape[-1]
        if length < 2:
            raise AudioError(
                f"wav has {length} samples at {self.samplerate} Hz; at least 2 are needed."
            )
        settings = self._settings
        if not settings.split and length > self.max_allowed_segment * self.samplerate:
            raise AudioError(
                f"a track of {length / self.samplerate:.1f} s is too long for the model to take it "
                f"at once, which is at most {self.max_allowed_segment:g} s: leave out --no-split "
                "(split=False)."
            )
        mean, std = _track_statistics(wav)
        application = Application(
            self._model,
            settings.applied(),
            settings.callback,
            {**(settings.callback_arg or {}), "audio_length": length},
            self._computed(),
            allocate,
        )
        stop = 0
        for block in application.blocks(Levelled(wav, mean, std)):
            start, stop = stop, stop + block.shape[-1]
            origin = wav[..., start:stop]
            yield origin, self._named(origin, block[0] * std + mean)

    def _computed(self) -> list[str] | None:
        """The sources that are needed; None: all."""
        alone = self._settings.two_stems is not None and self._settings.other_method != "add"
        return [str(self._settings.two_stems)] if alone else None

    def _named(self, origin: Array, out: Array) -> dict[str, Array]:
        """The stems by name; the rest is made as in demucs/separate.py:185-225."""
        settings = self._settings
        sources = self._computed() or self._model.sources
        stems = dict(zip(sources, out, strict=True))
        if settings.two_stems is None:
            return stems
        stem = stems.pop(settings.two_stems)
        if settings.other_method == "none":
            return {settings.two_stems: stem}
        if settings.other_method == "minus":
            rest = origin - stem
        else:
            rest = sum(stems.values(), start=np.zeros_like(origin))  # in order, from zero
        return dict(zip(self.stems, (stem, rest), strict=True))

    @property
    def stems(self) -> list[str]:
        """The names of what comes out, in order."""
        settings = self._settings
        if settings.two_stems is None:
            return list(self._model.sources)
        rest = REST.get(settings.other_method)
        return [settings.two_stems] + ([rest + settings.two_stems] if rest else [])

    @property
    def members(self) -> tuple[int, int]:
        """How many models run for a track, and how many there are."""
        bag = self._model
        there = len(bag.models) if isinstance(bag, BagOfModels) else 1
        return len(needed_members(bag, self._computed())), there

    @property
    def samplerate(self) -> int:
        """The model's sample rate in Hz."""
        return self._model.samplerate

    @property
    def audio_channels(self) -> int:
        """The model's channel count: 2 for stereo."""
        return self._model.audio_channels

    @property
    def model(self) -> Model | BagOfModels:
        """The model that is applied."""
        return self._model

    @property
    def max_allowed_segment(self) -> float:
        """Seconds: the longest `segment` that the model takes; infinity if any."""
        bag = self._model
        return longest_segment(bag.models if isinstance(bag, BagOfModels) else [bag])

    def _check(self, settings: SeparatorSettings) -> None:
        """ValueError for what does not fit the model or this machine."""
        device_name(settings.device)
        longest = self.max_allowed_segment
        if settings.segment is not None and settings.segment > longest:
            raise ValueError(
                f"segment {settings.segment:g} s: the model was trained on {longest:g} s and takes "
                "no more."
            )
        if settings.two_stems not in (None, *self._model.sources):
            raise ValueError(
                f"two_stems must be of {', '.join(self._model.sources)}, "
                f"got {settings.two_stems!r}."
            )


def _track_statistics(wav: Samples) -> tuple[Any, Any]:
    """Mean and deviation of the mono mix, as scalars of wav's dtype, added up in float64.

    The deviation is unbiased and the epsilon is added outside the root: demucs/api.py:269-271.
    """
    count = wav.shape[-1]
    mean = sum(block.mean(0).sum(dtype=np.float64) for block in blocks_of(wav)) / count
    squares = sum(np.square(block.mean(0) - mean).sum() for block in blocks_of(wav))
    std = np.sqrt(squares / (count - 1))
    scalar = wav.dtype.type
    return scalar(mean), scalar(std) + scalar(1e-8)


def _load(
    source: str | PathLike[str],
    repo: str | PathLike[str] | None,
    device: str | None,
    dtype: str,
    allow_legacy: bool,
) -> Model | BagOfModels:
    import tensorflow as tf

    from demucs_tf import load_model

    with tf.device(device_name(device)):
        return load_model(source, repo=repo, dtype=dtype, allow_legacy=allow_legacy)
