"""An exported file as a model that `apply_model` and `Separator` take."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from demucs_tf.errors import ExportError
from demucs_tf.export.metadata import Metadata

Array = npt.NDArray[Any]
Run = Callable[[Array], Array]  # (B, A, T) -> (B, S, A, T), float32


class Runtime(Protocol):
    """A file in its runtime."""

    def __call__(self, mix: Array) -> Array:
        """(B, A, T) -> (B, S, A, T), float32; from any thread."""

    def release(self) -> None:
        """Give the memory back until the next call."""


class Turns:
    """Lets one of several files be in memory at a time: those that take their turns here."""

    def __init__(self) -> None:
        self._last: Runtime | None = None

    def __call__(self, runtime: Runtime) -> Run:
        """The file as a function that sends away the one that ran before."""
        runtime.release()

        def run(mix: Array) -> Array:
            if self._last is not runtime:
                if self._last is not None:
                    self._last.release()
                self._last = runtime
            return runtime(mix)

        return run


class ExportedModel:
    """An exported file with what applying needs to know, see `demucs_tf.inference.single.Model`.

    Args:
        metadata: what the file says of itself.
        runtime: the engine that runs it, "litert" or "onnx".
        run: the file as a function. It may be called from several threads.

    Shape: (B, A, T) -> (B, S, A, T), float32 arrays, channels first. T is what `valid_length` says.
    """

    compute_dtype = "float32"

    def __init__(self, metadata: Metadata, runtime: str, run: Run) -> None:
        self.metadata = metadata
        self.runtime = runtime
        self.sources = list(metadata.sources)
        self.audio_channels = metadata.audio_channels
        self.samplerate = metadata.samplerate
        self.segment = Fraction(metadata.segment, metadata.samplerate)  # seconds, to the sample
        self._run = run

    def valid_length(self, length: int) -> int:
        """The length that a chunk of `length` samples has to be padded to.

        Raises:
            ValueError: the chunk is longer than the file takes.
        """
        about = self.metadata
        longest = self.longest
        if longest is not None and length > longest:
            raise ValueError(f"expected at most {longest} samples, got {length}.")
        if about.training_length is not None:
            return about.training_length
        if not about.any_length:
            return about.length
        return length if about.valid_length is None else about.valid_length.at_least(length)

    @property
    def longest(self) -> int | None:
        """Samples of the longest chunk that the file takes; None: it takes any."""
        about = self.metadata
        if about.training_length is not None:
            return about.training_length
        return None if about.any_length else about.segment

    def check_segment(self, seconds: float | None) -> None:
        """Refuse a length of chunks that the file was not exported for.

        Raises:
            ValueError: it has one length, and this is another.
        """
        about = self.metadata
        if seconds is None or about.any_length or about.training_length is not None:
            return
        if int(seconds * about.samplerate) != about.segment:
            raise ValueError(
                f"segment {seconds:g} s: the exported file takes chunks of "
                f"{float(self.segment):g} s only. Leave the segment out, or export the model with "
                f"--length {seconds:g}."
            )

    def __call__(self, mix: Array, *_: Array) -> Array:
        """Separate `mix`; positions that `draw_shift` has drawn are 0 in the file."""
        length = mix.shape[-1]
        # As HTDemucsTF.call has it, for a `segment` that is shorter than what it was trained on.
        after = max(0, (self.metadata.training_length or 0) - length)
        padded = np.pad(mix, [(0, 0), (0, 0), (0, after)]) if after else mix
        stems = self._run(np.ascontiguousarray(padded, np.float32))
        wanted = (mix.shape[0], len(self.sources), *padded.shape[1:])
        if stems.shape != wanted:
            raise ExportError(
                f"expected stems of the shape {wanted} from the exported file, got {stems.shape}. "
                "Export the model again."
            )
        return stems[..., :length]


class ExportedTransformer(ExportedModel):
    """An exported HTDemucsTF: what it was trained on is its longest segment."""

    @property
    def training_length(self) -> int:
        """Samples that the model was trained on."""
        return self.metadata.training_length or self.metadata.segment

    def draw_shift(self, generator: Any = random) -> int:
        """Draw what the model itself draws for each chunk, so that the shifts are its own, too.

        See `CrossTransformerEncoder.draw_shift`.
        """
        return int(generator.randrange(1))


def exported_model(metadata: Metadata, runtime: str, run: Run) -> ExportedModel:
    """The model of one file, of the class that it needs."""
    transformer = metadata.model == "HTDemucsTF" or metadata.training_length is not None
    return (ExportedTransformer if transformer else ExportedModel)(metadata, runtime, run)
