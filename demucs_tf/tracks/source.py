"""One track on its way: counted as it is read, and brought back to its own rate."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from demucs_tf.audio.reader import AudioStream
from demucs_tf.audio.resampler import Resampler
from demucs_tf.audio.writer import StemWriter
from demucs_tf.inference.arrays import Array
from demucs_tf.inference.separator import Separator
from demucs_tf.utils.atomic import Closing
from demucs_tf.utils.quiet import quiet


class Source:
    """An open audio file that counts its frames, and whose decoders print nothing.

    Args:
        audio: the file.
        noisy: let them.
    """

    def __init__(self, audio: AudioStream, *, noisy: bool = False) -> None:
        self.path, self.rate, self.channels = audio.path, audio.rate, audio.channels
        self.tags = audio.tags
        self.frames = 0
        self._audio = audio
        self._noisy = noisy

    @property
    def seconds(self) -> float:
        """The length of what was read so far."""
        return self.frames / self.rate

    def blocks(self) -> Iterator[Array]:
        """Yield float32 (A, n) to the end."""
        blocks = self._audio.blocks()
        while True:
            with quiet(unless=self._noisy):
                block = next(blocks, None)
            if block is None:
                return
            self.frames += block.shape[-1]
            yield block


class KeptRate(Closing):
    """Brings a stem back to the rate and the length of its track on its way to a file.

    Two conversions that each round down may lose a few samples at the end: they are zeros.
    """

    def __init__(self, writer: StemWriter, separator: Separator, source: Source) -> None:
        self._channels = separator.audio_channels
        self._dtype = np.dtype(separator.model.compute_dtype)
        self._resampler = Resampler(separator.samplerate, source.rate, self._channels, self._dtype)
        self._writer = writer
        self._source = source
        self._written = 0

    def write(self, block: Array) -> None:
        """Take the next samples at the model's rate."""
        self._pass_on(self._resampler.push(block))

    def close(self) -> None:
        """Write what is left, and zeros up to the track's length."""
        with self._writer:
            self._pass_on(self._resampler.flush())
            missing = self._source.frames - self._written
            self._pass_on(np.zeros((self._channels, missing), self._dtype))

    def abort(self) -> None:
        self._writer.abort()

    def _pass_on(self, block: Array) -> None:
        block = block[:, : self._source.frames - self._written]
        self._written += block.shape[-1]
        if block.shape[-1]:
            self._writer.write(block)
