"""Apply a model to a mixture: random shifts, chunks with overlap, and their weighted sum."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from demucs_tf.inference.chunks import Array, TensorChunk, center_trim, transition_weight
from demucs_tf.inference.settings import ApplySettings

Callback = Callable[[dict[str, Any]], None]


class Model(Protocol):
    """What `apply_model` needs to know of a model: (B, A, T) -> (B, S, A, T).

    A model may also have

    - `valid_length(length: int) -> int`, the length that it wants its input padded to; it raises
      ValueError for a `length` that is too long;
    - `training_length: int` besides, the samples that it was trained on: then a `segment` of the
      caller's is the length of every input, however short the chunk;
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


def apply_model(
    model: Model,
    mix: Array,
    shifts: int = 1,
    split: bool = True,
    overlap: float = 0.25,
    transition_power: float = 1.0,
    segment: float | None = None,
    progress: bool = False,
    callback: Callback | None = None,
    callback_arg: dict[str, Any] | None = None,
    seed: int | None = None,
    batch_size: int = 1,
) -> Array:
    """Separate a mixture of any length.

    Args:
        model: see `Model`.
        mix: floating point (B, A, T) at the model's sample rate, T >= 1.
        shifts: how many times to shift `mix` by a random 0 to 0.5 s and average; 0: not at all.
        split: work on chunks of `segment` seconds; otherwise on the whole mixture at once,
            which takes memory in proportion to its length.
        overlap: share of a chunk that the next one covers as well, in [0, 1).
        transition_power: 1 fades linearly from chunk to chunk, more fades faster.
        segment: length of a chunk in seconds; None: the model's own. Needs `split`.
        progress: draw a progress bar on stderr. Needs `split`.
        callback: called with a dict before and after each run of the model. It may raise
            KeyboardInterrupt to stop. Keys: everything in `callback_arg`, and over it
            `model_idx_in_bag`, `shift_idx`, `segment_offset` (samples), `state` ("start" or
            "end"); `models` is 1 unless `callback_arg` has it.
        callback_arg: passed on to `callback`.
        seed: draw what the reference draws after `random.seed(seed)`: the shifts, and for
            HTDemucs the positions of each chunk. None: from Python's global `random`, as the
            reference does.
        batch_size: chunks of equal length that go through the model together. 1 computes in
            the reference's order; more differs by rounding only.

    Returns:
        (B, S, A, T) in the model's dtype.

    Raises:
        ValueError: an argument out of range, a mixture that does not fit the model or has samples
            that are NaN or infinite, or a segment longer than the one an HTDemucs was trained on.

    Reference: demucs/apply.py::apply_model
    """
    settings = ApplySettings(
        shifts, split, overlap, transition_power, segment, progress, seed, batch_size
    )
    # QUIRK demucs/apply.py:185-187,231-232: the positions override the caller's keys, but a
    # "models" of the caller's stays.
    info = {"models": 1, **(callback_arg or {})}
    generator: Any = random if settings.seed is None else random.Random(settings.seed)
    info["model_idx_in_bag"] = 0
    job = _Job(model, settings, generator, _compiled(model), callback, info)
    return job.shifted(_checked(mix, model))


@dataclass(frozen=True)
class _Job:
    """One model, applied to one mixture with fixed settings."""

    model: Model
    settings: ApplySettings
    generator: Any  # a random.Random, or the module
    forward: Callable[..., Array]
    callback: Callback | None
    info: dict[str, Any]

    def shifted(self, mix: Array) -> Array:
        """The average over random shifts; without shifts, `mix` as it is."""
        settings = self.settings
        if not settings.shifts:
            return self._one_shift(TensorChunk(mix), 0)
        length = mix.shape[-1]
        max_shift = int(0.5 * self.model.samplerate)
        padded_mix = TensorChunk(mix).padded(length + 2 * max_shift)
        out = np.zeros(self._out_shape(mix, length), mix.dtype)
        for shift_idx in range(settings.shifts):
            offset = self.generator.randint(0, max_shift)
            shifted = TensorChunk(padded_mix, offset, length + max_shift - offset)
            out += self._one_shift(shifted, shift_idx)[..., max_shift - offset :]
        out /= settings.shifts
        return out

    def _one_shift(self, mix: TensorChunk, shift_idx: int) -> Array:
        if self.settings.split:
            return self._split(mix, shift_idx)
        return next(self._outputs([mix], [0], shift_idx))

    def _split(self, mix: TensorChunk, shift_idx: int) -> Array:
        """Chunk by chunk, joined by triangular weights."""
        settings, dtype = self.settings, mix.tensor.dtype
        segment_length, stride = self._segment_and_stride()
        weight = transition_weight(segment_length, settings.transition_power, dtype)
        offsets = range(0, mix.length, stride)
        chunks = [TensorChunk(mix, offset, segment_length) for offset in offsets]
        out = np.zeros(self._out_shape(mix.tensor, mix.length), dtype)
        sum_weight = np.zeros(mix.length, dtype)
        seconds = float(format(stride / self.model.samplerate, ".2f"))
        with tqdm(
            total=len(offsets),
            unit_scale=seconds,
            ncols=120,
            unit="seconds",
            disable=not settings.progress,
        ) as bar:
            outputs = self._outputs(chunks, offsets, shift_idx)
            for offset, chunk_out in zip(offsets, outputs, strict=True):
                length = chunk_out.shape[-1]
                out[..., offset : offset + length] += weight[:length] * chunk_out
                sum_weight[offset : offset + length] += weight[:length]
                bar.update()
        out /= sum_weight
        return out

    def _segment_and_stride(self) -> tuple[int, int]:
        """In samples; truncated as in demucs/apply.py:264-265."""
        segment = self.model.segment if self.settings.segment is None else self.settings.segment
        length = int(self.model.samplerate * segment)
        stride = int((1 - self.settings.overlap) * length)
        if stride < 1:
            raise ValueError(
                f"segment {float(segment):g} s with overlap {self.settings.overlap:g} at "
                f"{self.model.samplerate} Hz moves by less than one sample from chunk to chunk: "
                "choose a longer segment or a smaller overlap."
            )
        return length, stride

    def _outputs(
        self, chunks: Sequence[TensorChunk], offsets: Sequence[int], shift_idx: int
    ) -> Iterator[Array]:
        """The model's output for each chunk, (B, S, A, T of the chunk), in order."""
        items = list(zip(chunks, offsets, strict=True))
        for length, group in groupby(items, lambda item: self._valid_length(item[0].length)):
            same = list(group)
            for first in range(0, len(same), self.settings.batch_size):
                batch = same[first : first + self.settings.batch_size]
                yield from self._run(batch, length, shift_idx)

    def _run(
        self, batch: list[tuple[TensorChunk, int]], length: int, shift_idx: int
    ) -> Iterator[Array]:
        padded = np.concatenate([chunk.padded(length) for chunk, _ in batch])
        for _, offset in batch:
            self._notify("start", offset, shift_idx)
        out = self.forward(padded, *self._drawn(batch))
        for _, offset in batch:
            self._notify("end", offset, shift_idx)
        for (chunk, _), part in zip(batch, np.split(out, len(batch)), strict=True):
            yield center_trim(part, chunk.length)

    def _drawn(self, batch: list[tuple[TensorChunk, int]]) -> list[Array]:
        """What the model wants to have drawn, for each item: one draw a chunk, in their order."""
        draw_shift = getattr(self.model, "draw_shift", None)
        if draw_shift is None:
            return []
        drawn = [draw_shift(self.generator) for _ in batch]
        return [np.repeat(np.array(drawn, np.int32), batch[0][0].tensor.shape[0])]

    def _valid_length(self, length: int) -> int:
        """The length of the model's input for a chunk of `length` samples.

        Reference: demucs/apply.py:305-310
        """
        segment = self.settings.segment
        valid_length = getattr(self.model, "valid_length", None)
        if segment is not None and hasattr(self.model, "training_length"):
            length = int(segment * self.model.samplerate)
            self._refuse_longer_than_trained(length)
            return length
        return length if valid_length is None else int(valid_length(length))

    def _refuse_longer_than_trained(self, length: int) -> None:
        try:
            self.model.valid_length(length)  # type: ignore[attr-defined]
        except ValueError as error:
            raise ValueError(
                f"Given length {length} is longer than training length "
                f"{self.model.training_length}: "  # type: ignore[attr-defined]
                f"choose a segment of at most {float(self.model.segment):g} s."
            ) from error

    def _notify(self, state: str, offset: int, shift_idx: int) -> None:
        if self.callback is not None:
            place = {"shift_idx": shift_idx, "segment_offset": offset, "state": state}
            self.callback({**self.info, **place})

    def _out_shape(self, mix: Array, length: int) -> tuple[int, int, int, int]:
        return (mix.shape[0], len(self.model.sources), mix.shape[1], length)


def _compiled(model: Any) -> Callable[..., Array]:
    """`model` as one graph for every length, traced once and kept with the model."""
    import tensorflow as tf

    function = getattr(model, "_apply_function", None)
    if function is None:
        signature = [tf.TensorSpec([None, model.audio_channels, None], model.compute_dtype)]
        if hasattr(model, "draw_shift"):
            signature.append(tf.TensorSpec([None], tf.int32))

        def forward(*inputs: Any) -> Any:
            return model(*inputs)

        function = model._apply_function = tf.function(forward, input_signature=signature)
    return lambda *inputs: function(*map(tf.convert_to_tensor, inputs)).numpy()


def _checked(mix: Array, model: Model) -> Array:
    """`mix` in the model's dtype; ValueError if it does not fit the model."""
    mix = np.asarray(mix)
    shape = f"(batch, {model.audio_channels} audio channels, samples)"
    if mix.ndim != 3 or mix.shape[1] != model.audio_channels:
        raise ValueError(f"mix must be {shape}, got {mix.shape}.")
    if 0 in mix.shape:
        raise ValueError(f"mix must be {shape} and not empty, got {mix.shape}.")
    if not np.issubdtype(mix.dtype, np.floating):
        raise ValueError(f"mix must be floating point in [-1, 1], got {mix.dtype}.")
    if not np.isfinite(mix).all():
        raise ValueError("mix has samples that are NaN or infinite.")
    return mix.astype(model.compute_dtype, copy=False)
