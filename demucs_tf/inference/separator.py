"""Separate files and arrays with one loaded model."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from demucs_tf.audio.checks import check_rate, check_samples
from demucs_tf.audio.convert import convert_audio, convert_blocks
from demucs_tf.audio.reader import open_audio
from demucs_tf.checkpoints.load import load_located
from demucs_tf.checkpoints.locate import locate
from demucs_tf.errors import AudioError, CheckpointError
from demucs_tf.inference.apply import Application, needed_members
from demucs_tf.inference.arrays import (
    SILENT,
    Allocate,
    Array,
    DiskArray,
    Levelled,
    Samples,
    as_array,
    in_memory,
    track_statistics,
)
from demucs_tf.inference.engine import check_engine, checked_precision, device_name, runtime_of
from demucs_tf.inference.graphs.bare import model_of
from demucs_tf.inference.graphs.kept import kept
from demucs_tf.inference.settings import Settings, named, takes_settings
from demucs_tf.inference.single import Model, check_segment, segment_and_stride
from demucs_tf.models.bag import BagOfModels, longest_segment
from demucs_tf.models.ranges import check_dtype
from demucs_tf.runtimes.load import exported_path, load_model
from demucs_tf.utils.runtime import import_runtime

# What the rest is called, in front of the name of the stem.
REST = {"add": "no_", "minus": "minus_"}


class Audio(Protocol):
    """What `Separator.stream` reads: `demucs_tf.utils.audio.AudioStream` is one."""

    rate: int

    def blocks(self) -> Iterator[Array]:
        """Yield all samples, in order, as float32 (channels, n)."""


class Separator:
    """A model with settings, ready for tracks of any length, rate and channel count.

    Args:
        model: a loaded model or bag, or what `demucs_tf.load_model` takes: a name, or the path of
            a checkpoint or of an exported file.
        repo: passed on to `demucs_tf.load_model`.
        device: "cpu", "gpu", "gpu:1" (or "cuda", as the reference says); None: a GPU if there is
            one.
        shifts, overlap, split, segment, progress, callback, callback_arg, batch_size, engine,
            precision: as in `apply_model`; the callback's dict also has `audio_length` (samples).
        jobs: `num_workers` of `apply_model`.
        seed: as in `apply_model`. Every track starts anew from it, so what a track becomes does
            not depend on the tracks before it.
        two_stems: separate into this source and the rest.
        other_method: the rest is the sum of the other stems ("add", "no_vocals"), the mixture less
            the stem ("minus", "minus_vocals"), or left out ("none"). With the last two, only those
            members of a bag run that have a weight for the stem.
        stems: only these, in this order: sources of the model, and "no_" with a source, the sum of
            all others. Members of a bag that have no weight for what is needed do not run.
        dtype: "float32" or "float64", for a model that is loaded here. A loaded one keeps its own.
        allow_legacy: passed on to `demucs_tf.load_model`.

    Raises:
        ValueError: a setting out of range, found before the model is loaded; a device that is not
            there; a stem that the model does not have, or a segment longer than it takes.
        CheckpointError, ModelNotFoundError, ExportError: the model can't be loaded.

    Reference: demucs/api.py::Separator
    """

    @takes_settings
    def __init__(
        self,
        model: Model | BagOfModels | str | PathLike[str] = "htdemucs",
        repo: str | PathLike[str] | None = None,
        *settings: Any,
        dtype: str = "float32",
        allow_legacy: bool = False,
        **more: Any,
    ) -> None:
        self._settings = Settings(**named("Separator", settings, more))
        self._model = (
            _load(model, repo, self._settings, dtype, allow_legacy)
            if isinstance(model, (str, PathLike))
            else model
        )
        self._check(self._settings)

    def update_parameter(self, *settings: Any, **more: Any) -> None:
        """Change settings, e.g. `update_parameter(shifts=0)`; the others stay.

        By position they are device, shifts, overlap, split, segment, jobs, and so on, in the order
        of `demucs_tf.inference.settings.Settings`.

        Raises:
            TypeError: no such setting.
            ValueError: a value out of range, or one that does not fit the model. Nothing is
                changed then.

        Reference: demucs/api.py::Separator.update_parameter
        """
        changed = replace(self._settings, **named("update_parameter", settings, more))
        self._check(changed)
        self._settings = changed

    def separate_file(self, path: str | PathLike[str]) -> tuple[Array, dict[str, Array]]:
        """Read an audio file and separate it; see `separate_tensor`.

        Raises:
            AudioError: the file can't be read or holds no usable audio.

        Reference: demucs/api.py::Separator.separate_audio_file
        """
        with open_audio(path) as audio, np.errstate(**SILENT):
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
        wav = as_array(wav)
        rate = self.samplerate if sr is None else sr
        check_rate(rate)
        if wav.ndim != 2 or not np.issubdtype(wav.dtype, np.floating):
            raise AudioError(
                f"wav must be floating point (channels, samples), got {wav.dtype} {wav.shape}."
            )
        check_samples(wav, "wav")
        wav = wav.astype(self._model.compute_dtype, copy=False)
        with np.errstate(**SILENT):
            wav = convert_audio(wav, int(rate), self.samplerate, self.audio_channels)
        return self._whole(wav)

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
            with np.errstate(**SILENT):
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
        """Reference: demucs/api.py:269-288"""
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
        mean, std = track_statistics(wav)
        info = {**(settings.callback_arg or {}), "audio_length": length}
        application = Application(
            self._model, replace(settings, callback_arg=info), self._computed(), allocate
        )
        stop = 0
        for block in application.blocks(Levelled(wav, mean, std)):
            start, stop = stop, stop + block.shape[-1]
            origin = wav[..., start:stop]
            with np.errstate(**SILENT):
                stems = self._named(origin, block[0] * std + mean)
            _check_finite(stems, start)
            yield origin, stems

    def _computed(self) -> list[str] | None:
        """The sources that are needed; None: all."""
        settings, sources = self._settings, self._model.sources
        if settings.stems is not None:
            needed = {name for stem in settings.stems for name in _summands(stem, sources)}
            return [name for name in sources if name in needed]
        alone = settings.two_stems is not None and settings.other_method != "add"
        return [str(settings.two_stems)] if alone else None

    def _named(self, origin: Array, out: Array) -> dict[str, Array]:
        """The stems by name; the rest is made as in demucs/separate.py:185-225."""
        settings = self._settings
        sources = self._computed() or self._model.sources

        def added(names: Iterable[str]) -> Array:
            total = np.zeros_like(origin)
            for name in names:
                total = total + stems[name]
            return total

        stems = dict(zip(sources, out, strict=True))
        if settings.stems is not None:
            parts = {name: _summands(name, self._model.sources) for name in settings.stems}
            return {
                name: stems[name] if names == [name] else added(names)
                for name, names in parts.items()
            }
        if settings.two_stems is None:
            return stems
        stem = stems.pop(settings.two_stems)
        if settings.other_method == "none":
            return {settings.two_stems: stem}
        minus = settings.other_method == "minus"
        rest = origin - stem if minus else added(stems)
        return dict(zip(self.stems, (stem, rest), strict=True))

    @property
    def stems(self) -> list[str]:
        """The names of what comes out, in order."""
        settings = self._settings
        if settings.two_stems is None:
            return list(settings.stems or self._model.sources)
        rest = REST.get(settings.other_method)
        return [settings.two_stems] + ([rest + settings.two_stems] if rest else [])

    @property
    def members(self) -> tuple[int, int]:
        """How many models run for a track, and how many there are."""
        return len(needed_members(self._model, self._computed())), len(self._models)

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
    def _models(self) -> list[Any]:
        bag = self._model
        return bag.models if isinstance(bag, BagOfModels) else [bag]

    @property
    def max_allowed_segment(self) -> float:
        """Seconds: the longest `segment` that the model takes; infinity if any."""
        return longest_segment(self._models)

    def _check(self, settings: Settings) -> None:
        """ValueError for what does not fit the model or this machine."""
        for model in self._models:
            check_engine(settings.engine, runtime_of(model), settings.device, settings.precision)
            if runtime_of(model) is None:
                device_name(settings.device)
                checked_precision(settings.precision, model)
            check_segment(model, settings)
        longest = self.max_allowed_segment
        if settings.segment is not None and settings.segment > longest:
            raise ValueError(
                f"segment {settings.segment:g} s: the model was trained on {longest:g} s and takes "
                "no more."
            )
        if settings.split:
            for model in self._models:
                segment_and_stride(model, settings)
        if settings.two_stems not in (None, *self._model.sources):
            raise ValueError(
                f"two_stems must be of {', '.join(self._model.sources)}, "
                f"got {settings.two_stems!r}."
            )
        if settings.stems is not None and settings.two_stems is not None:
            raise ValueError("stems and two_stems exclude each other.")
        for stem in settings.stems or ():
            if not _summands(stem, self._model.sources):
                raise ValueError(
                    f"stems must be of {', '.join(self._model.sources)}, each also as no_..., got "
                    f"{stem!r}."
                )


def _summands(stem: str, sources: list[str]) -> list[str]:
    """The sources that a stem is made of: itself, or of "no_vocals" all but vocals."""
    if stem in sources:
        return [stem]
    left_out = stem.removeprefix("no_")
    return [name for name in sources if name != left_out] if left_out in sources else []


def _check_finite(stems: dict[str, Array], start: int) -> None:
    """CheckpointError if there is more in the stems than numbers: the mixture has been checked."""
    for name, stem in stems.items():
        finite = np.isfinite(stem).all(axis=0)
        if not finite.all():
            raise CheckpointError(
                f"the model gives NaN or infinite samples for {name!r}, the first at sample "
                f"{start + int(np.argmin(finite))}, where its input is finite. Its weights are "
                'damaged, or too large for float32: try --dtype float64 (dtype="float64"), or '
                "another checkpoint."
            )


def _load(
    source: str | PathLike[str],
    repo: str | PathLike[str] | None,
    settings: Settings,
    dtype: str,
    allow_legacy: bool,
) -> Model | BagOfModels:
    """Reference: demucs/api.py::Separator._load_model"""
    if exported_path(source) is not None:
        return load_model(source, repo, dtype, allow_legacy)
    # Before anything is downloaded. TensorFlow is imported while the file is read, unless it has to
    # tell whether there is such a device.
    check_engine(settings.engine, None, None, settings.precision)
    check_dtype(dtype)
    if settings.device not in (None, "cpu"):
        device_name(settings.device)
    folder, bare = kept(), settings.engine in ("auto", "graph") and settings.precision == "float32"
    make = partial(model_of, folder) if folder is not None and bare else None

    def on_device() -> AbstractContextManager[Any]:
        return import_runtime().device_v2(device_name(settings.device))

    found = locate(source, repo, allow_legacy=allow_legacy)
    return load_located(found, dtype, make, on_device if settings.device else nullcontext)
