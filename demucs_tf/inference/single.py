"""One model applied to one mixture: random shifts, chunks with overlap, and their weighted sum.

The output comes as a stream of blocks (B, S, A, n), in order and each final, so that nobody has to
hold a whole track.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from threading import Lock
from typing import Any, Protocol

import numpy as np

from demucs_tf.audio.convert import blocks_of
from demucs_tf.inference.arrays import Allocate, Array, Samples, ZeroPadded
from demucs_tf.inference.bounds import check_cost
from demucs_tf.inference.chunks import TensorChunk, center_trim, transition_weight
from demucs_tf.inference.progress import Bar
from demucs_tf.inference.settings import Settings
from demucs_tf.inference.streams import in_threads, summed, without_first

# Samples of a block, whose copies on the way to a file are small then.
_BLOCK = 1 << 16


class Model(Protocol):
    """What applying needs to know of a model: (B, A, T) -> (B, S, A, T).

    A model may also have

    - `valid_length(length: int) -> int`, the length that it wants its input padded to; it raises
      ValueError for a `length` that is too long;
    - `training_length: int` besides, the samples that it was trained on: then a `segment` of the
      caller's is the length of every input, however short the chunk;
    - `check_segment(seconds: float | None)`, which raises ValueError for a `segment` that it can't
      work with;
    - `runtime: str`, the engine that alone runs it: then it takes and gives arrays;
    - `draw_shift(generator) -> int`: then it is called with `shift`, what was drawn for each item
      of the batch, as a second argument.
    """

    sources: list[str]
    audio_channels: int
    samplerate: int
    segment: float
    compute_dtype: str

    def __call__(self, mix: Any) -> Any:
        """Separate `mix`."""


@dataclass(frozen=True)
class Job:
    """One model, to be applied with fixed settings."""

    model: Model
    settings: Settings
    generator: Any  # a random.Random, or the module
    forward: Callable[..., Array]
    info: dict[str, Any]
    allocate: Allocate
    title: str = ""  # on the progress bar
    _lock: Lock = field(default_factory=Lock)

    def blocks(self, mix: Samples) -> Iterator[Array]:
        """The average over random shifts of `mix` (B, A, T); without shifts, `mix` as it is.

        Reference: demucs/apply.py:237-256
        """
        shifts, length = self.settings.shifts, mix.shape[-1]
        if not shifts:
            return self._one_shift(TensorChunk(mix), 0)
        padded = ZeroPadded(mix, self._max_shift)

        def shifted() -> Iterator[Generator[Array, None, None]]:
            for shift_idx in range(shifts):
                offset = self._draw_offset()
                after = self._max_shift - offset
                chunk = TensorChunk(padded, offset, length + after)
                yield without_first(after, self._one_shift(chunk, shift_idx))

        room = partial(self.allocate, self._out_shape(mix, length), mix.dtype)
        total = summed(shifted(), shifts, room)
        return (block / mix.dtype.type(shifts) for block in total)

    def check(self, mix: Samples) -> None:
        """Refuse a segment that does not fit, and chunks of (B, A, T) that take too much.

        What models without a `config` take is not known.

        Raises:
            ValueError: see `check_cost`, or a segment or chunk that the model does not take.
        """
        if self.settings.split:
            check_segment(self.model, self.settings)
        if getattr(self.model, "config", None) is None:
            return  # nothing is known of it
        settings, length = self.settings, mix.shape[-1]
        if settings.shifts:
            length += self._max_shift
        longest = (
            min(length, segment_and_stride(self.model, self.settings)[0])
            if settings.split
            else length
        )
        most = settings.batch_size * max(1, settings.jobs)
        together = min(most, -(-length // longest))
        items, valid_length = mix.shape[0], self._valid_length(longest)
        check_cost(self.model, valid_length, items * together, items * most)

    def pass_over(self, length: int) -> None:
        """Draw what `blocks` would draw for a mixture of that length, and do nothing else."""
        shifts = self.settings.shifts
        for _ in range(max(1, shifts)):
            after = self._max_shift - self._draw_offset() if shifts else 0
            chunks = len(self._offsets(length + after)) if self.settings.split else 1
            for _ in range(chunks):
                self._draw_position()

    @property
    def _max_shift(self) -> int:
        return int(0.5 * self.model.samplerate)

    def _draw_offset(self) -> int:
        """Reference: demucs/apply.py:245"""
        return int(self.generator.randint(0, self._max_shift))

    def _draw_position(self) -> int | None:
        draw_shift = getattr(self.model, "draw_shift", None)
        return None if draw_shift is None else int(draw_shift(self.generator))

    def _one_shift(self, mix: TensorChunk, shift_idx: int) -> Iterator[Array]:
        if self.settings.split:
            return self._split(mix, shift_idx)
        return self._outputs([mix], [0], shift_idx)

    def _split(self, mix: TensorChunk, shift_idx: int) -> Iterator[Array]:
        """Chunk by chunk, joined by triangular weights.

        Reference: demucs/apply.py:257-302
        """
        settings, dtype = self.settings, mix.tensor.dtype
        segment_length, stride = segment_and_stride(self.model, settings)
        window = min(segment_length, mix.length)
        weight = transition_weight(segment_length, settings.transition_power, dtype, window)
        offsets = self._offsets(mix.length)
        chunks = [TensorChunk(mix, offset, segment_length) for offset in offsets]
        # What the chunks so far have given from the current offset on.
        out = np.zeros(self._out_shape(mix.tensor, window), dtype)
        sum_weight = np.zeros(window, dtype)
        with (
            self._bar(mix.length, shift_idx) as bar,
            closing(self._outputs(chunks, offsets, shift_idx)) as outputs,
        ):
            for offset in offsets:
                chunk_out = next(outputs)
                length = chunk_out.shape[-1]
                out[..., :length] += weight[:length] * chunk_out
                del chunk_out  # not kept while the next one is worked out
                sum_weight[:length] += weight[:length]
                final = min(stride, mix.length - offset)
                bar.update(final)
                parts = (out[..., :final], sum_weight[:final])
                yield from map(np.divide, *(blocks_of(part, _BLOCK) for part in parts))
                _move_on(out, stride)
                _move_on(sum_weight, stride)

    def _bar(self, length: int, shift_idx: int) -> Bar:
        """Reference: demucs/apply.py:285-286"""
        shifts = self.settings.shifts
        shift = f"shift {shift_idx + 1} of {shifts}" if shifts > 1 else ""
        title = ", ".join(filter(None, (self.title, shift)))
        rate, quiet = self.model.samplerate, not self.settings.progress
        return Bar(length, rate, title, disable=quiet)

    def _offsets(self, length: int) -> range:
        return range(0, length, segment_and_stride(self.model, self.settings)[1])

    def _outputs(
        self, chunks: Sequence[TensorChunk], offsets: Sequence[int], shift_idx: int
    ) -> Generator[Array, None, None]:
        """The model's output for each chunk, (B, S, A, T of the chunk), in order."""
        batches = self._batches(chunks, offsets, shift_idx)
        for outputs in in_threads(batches, self.settings.jobs):
            while outputs:
                yield outputs.pop(0)  # not kept here either

    def _batches(
        self, chunks: Sequence[TensorChunk], offsets: Sequence[int], shift_idx: int
    ) -> Iterator[Callable[[], list[Array]]]:
        """The runs of the model that are needed, each with everything drawn in its order."""
        items = list(zip(chunks, offsets, strict=True))
        for length, group in groupby(items, lambda item: self._valid_length(item[0].length)):
            same = list(group)
            for first in range(0, len(same), self.settings.batch_size):
                batch = same[first : first + self.settings.batch_size]
                yield self._batch(batch, length, shift_idx)

    def _batch(
        self, batch: list[tuple[TensorChunk, int]], length: int, shift_idx: int
    ) -> Callable[[], list[Array]]:
        """Reference: demucs/apply.py:303-323"""
        inputs = [np.concatenate([chunk.padded(length) for chunk, _ in batch])]
        positions = [self._draw_position() for _ in batch]
        if positions[0] is not None:
            copies = batch[0][0].tensor.shape[0]
            inputs.append(np.repeat(np.array(positions, np.int32), copies))

        def run() -> list[Array]:
            for _, offset in batch:
                self._notify("start", offset, shift_idx)
            out = self.forward(*inputs)
            for _, offset in batch:
                self._notify("end", offset, shift_idx)
            parts = zip(batch, np.split(out, len(batch)), strict=True)
            return [center_trim(part, chunk.length) for (chunk, _), part in parts]

        return run

    def _valid_length(self, length: int) -> int:
        """The length of the model's input for a chunk of `length` samples.

        Reference: demucs/apply.py:305-310
        """
        segment = self.settings.segment
        if segment is not None and hasattr(self.model, "training_length"):
            length = int(segment * self.model.samplerate)
            self._asked(length, "choose a segment")
            return length
        return self._asked(length, "separate it with split=True, in segments")

    def _asked(self, length: int, advice: str) -> int:
        """What the model wants its input to be padded to; ValueError if `length` is too long."""
        valid_length = getattr(self.model, "valid_length", None)
        if valid_length is None:
            return length
        try:
            return int(valid_length(length))
        except ValueError as error:
            limit = "the exported" if hasattr(self.model, "runtime") else "training"
            raise ValueError(
                f"Given length {length} is longer than {limit} length "
                f"{int(self.model.segment * self.model.samplerate)}: {advice} of at most "
                f"{float(self.model.segment):g} s."
            ) from error

    def _notify(self, state: str, offset: int, shift_idx: int) -> None:
        """Reference: demucs/apply.py::_replace_dict"""
        if self.settings.callback is not None:
            place = {"shift_idx": shift_idx, "segment_offset": offset, "state": state}
            with self._lock:
                self.settings.callback({**self.info, **place})

    def _out_shape(self, mix: Samples, length: int) -> tuple[int, int, int, int]:
        return (mix.shape[0], len(self.model.sources), mix.shape[1], length)


def check_segment(model: Model, settings: Settings) -> None:
    """ValueError if the model can't work with the `segment`; see `Model`."""
    check = getattr(model, "check_segment", None)
    if check is not None:
        check(settings.segment)


def segment_and_stride(model: Model, settings: Settings) -> tuple[int, int]:
    """The length of a chunk, and how far the next one lies behind it, in samples.

    Raises:
        ValueError: it moves by less than a sample, or than a millisecond: a song would take days.

    Reference: demucs/apply.py:261-265
    """
    segment = model.segment if settings.segment is None else settings.segment
    length = int(model.samplerate * segment)
    stride, least = int((1 - settings.overlap) * length), max(1, model.samplerate // 1000)
    if stride < least:
        raise ValueError(
            f"segment {float(segment):g} s with overlap {settings.overlap} at "
            f"{model.samplerate} Hz moves by less than "
            f"{'one sample' if least == 1 else f'{least} samples'} from chunk to chunk: "
            "choose a longer segment or a smaller overlap."
        )
    return length, stride


def _move_on(window: Array, stride: int) -> None:
    """Let `window` start `stride` samples later, with zeros behind."""
    kept = max(0, window.shape[-1] - stride)
    window[..., :kept] = window[..., stride:]
    window[..., kept:] = 0
