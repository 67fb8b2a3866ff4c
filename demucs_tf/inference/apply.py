"""Apply a model, or a bag of models, to a mixture of any length."""

from __future__ import annotations

import random
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from demucs_tf.inference.arrays import Allocate, Array, Samples, as_array, in_memory
from demucs_tf.inference.engine import forward_function
from demucs_tf.inference.settings import Callback, Engine, Precision, Settings
from demucs_tf.inference.single import Job, Model
from demucs_tf.inference.streams import summed, without_warnings
from demucs_tf.models.bag import BagOfModels


def apply_model(
    model: Model | BagOfModels,
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
    num_workers: int = 0,
    engine: Engine = "auto",
    device: str | None = None,
    stems: Sequence[str] | None = None,
    precision: Precision = "float32",
) -> Array:
    """Separate a mixture of any length.

    Args:
        model: one model (see `demucs_tf.inference.single.Model`), or a bag: then its members are
            applied one after the other, each with shifts of its own, and averaged.
        mix: floating point (B, A, T) at the model's sample rate, T >= 1.
        shifts: how many times to shift `mix` by a random 0 to 0.5 s and average; 0: not at all.
        split: work on chunks of `segment` seconds; otherwise on the whole mixture at once,
            which takes memory in proportion to its length.
        overlap: share of a chunk that the next one covers as well, in [0, 1).
        transition_power: 1 fades linearly from chunk to chunk, more fades faster.
        segment: length of a chunk in seconds; None: the model's own. Needs `split`.
        progress: draw a progress bar on stderr, one for each model and shift. Needs `split`.
        callback: called with a dict before and after each run of a model. It may raise
            KeyboardInterrupt to stop. With `num_workers` it is called from their threads, one
            at a time. Keys: everything in `callback_arg`, and over it
            `model_idx_in_bag`, `shift_idx`, `segment_offset` (samples), `state` ("start" or
            "end"), and for a bag `models`; for one model that is 1 unless `callback_arg` has it.
        callback_arg: passed on to `callback`.
        seed: draw what the reference draws after `random.seed(seed)`: the shifts, and for
            HTDemucs the positions of each chunk. None: from Python's global `random`, as the
            reference does.
        batch_size: chunks of equal length that go through the model together. 1 computes in
            the reference's order; more differs by rounding only.
        num_workers: threads that work on as many chunks at a time, with the same result;
            0: one chunk at a time.
        engine: "auto", "graph", "xla" or "eager"; see `demucs_tf.inference.engine`.
        device: "cpu", "gpu", "gpu:1" (or "cuda"); None: a GPU if there is one.
        stems: the sources that are wanted, in the order of the output; None: all. Members of a bag
            that have no weight for any of them are left out, which changes nothing else.
        precision: "bfloat16" is faster and less exact: see `demucs_tf.inference.engine`.

    Returns:
        (B, S, A, T) in the model's dtype.

    Raises:
        ValueError: an argument out of range, a mixture that does not fit the model or has samples
            that are NaN or infinite, or a segment longer than the one an HTDemucs was trained on.
        CheckpointError: the model's layers do not fit each other for chunks of that length.

    Reference: demucs/apply.py::apply_model
    """
    settings = Settings(
        shifts=shifts,
        split=split,
        overlap=overlap,
        transition_power=transition_power,
        segment=segment,
        progress=progress,
        callback=callback,
        callback_arg=callback_arg,
        seed=seed,
        batch_size=batch_size,
        jobs=num_workers,
        engine=engine,
        device=device,
        precision=precision,
    )
    mix = checked_mix(mix, model)
    wanted = Application(model, settings, stems)
    out = np.empty((mix.shape[0], wanted.count, *mix.shape[1:]), mix.dtype)
    stop = 0
    for block in wanted.blocks(mix):
        start, stop = stop, stop + block.shape[-1]
        out[..., start:stop] = block
    return out


@dataclass(frozen=True)
class Application:
    """What to apply, how, and which stems are wanted; see `apply_model`.

    Raises:
        ValueError: a stem that the model does not have, or no stem.
    """

    model: Model | BagOfModels
    settings: Settings
    stems: Sequence[str] | None = None
    allocate: Allocate = in_memory

    def __post_init__(self) -> None:
        for stem in self.stems or []:
            if stem not in self.model.sources:
                raise ValueError(f"stems must be of {', '.join(self.model.sources)}, got {stem!r}.")
        if not self.count:
            raise ValueError("stems must name at least one source, got none.")

    @property
    def count(self) -> int:
        """How many stems come out."""
        return len(self._indices)

    def blocks(self, mix: Samples) -> Iterator[Array]:
        """The stems of `mix` (B, A, T) as consecutive blocks (B, S, A, n)."""
        # Bound before anything is drawn, so that all members draw from one stream.
        seed = self.settings.seed
        generator: Any = random if seed is None else random.Random(seed)
        bag = self.model.models if isinstance(self.model, BagOfModels) else [self.model]
        for index in needed_members(self.model, self.stems):
            self._job(bag[index], generator, {}).check(mix)
        if isinstance(self.model, BagOfModels):
            return without_warnings(self._bag(self.model, mix, generator))
        # QUIRK demucs/apply.py:185-187,231-232: the positions override the caller's keys, but a
        # "models" of the caller's stays.
        info = {"models": 1, **self._info, "model_idx_in_bag": 0}
        blocks = self._job(self.model, generator, info).blocks(mix)
        return without_warnings(block[:, self._indices] for block in blocks)

    def _bag(self, bag: BagOfModels, mix: Samples, generator: Any) -> Iterator[Array]:
        """The average over the members, weighted source by source.

        Reference: demucs/apply.py:201-229
        """
        weights = np.array(bag.weights, mix.dtype)[:, self._indices, None, None]  # (M, S, 1, 1)
        members = needed_members(bag, self.stems)

        def weighted() -> Iterator[Generator[Array, None, None]]:
            for index, model in enumerate(bag.models):
                info = {**self._info, "models": len(bag.models), "model_idx_in_bag": index}
                title = f"model {index + 1} of {len(bag.models)}"
                job = self._job(model, generator, info, title)
                if index not in members:
                    job.pass_over(mix.shape[-1])
                    continue
                yield (block[:, self._indices] * weights[index] for block in job.blocks(mix))

        shape = (mix.shape[0], self.count, *mix.shape[1:])
        totals = np.array([sum(column) for column in zip(*bag.weights, strict=True)], mix.dtype)
        room = partial(self.allocate, shape, mix.dtype)
        for block in summed(weighted(), len(members), room):
            yield block / totals[self._indices, None, None]

    def _job(self, model: Model, generator: Any, info: dict[str, Any], title: str = "") -> Job:
        how = self.settings
        forward = forward_function(model, how.engine, how.device, how.precision)
        return Job(model, self.settings, generator, forward, info, self.allocate, title)

    @property
    def _info(self) -> dict[str, Any]:
        return dict(self.settings.callback_arg or {})

    @property
    def _indices(self) -> list[int]:
        return _indices(self.model, self.stems)


def needed_members(model: Model | BagOfModels, stems: Sequence[str] | None = None) -> list[int]:
    """The models that have to run for these stems (None: all), by their index in the bag."""
    if not isinstance(model, BagOfModels):
        return [0]
    wanted = _indices(model, stems)
    return [index for index, row in enumerate(model.weights) if any(row[k] for k in wanted)]


def _indices(model: Model | BagOfModels, stems: Sequence[str] | None) -> list[int]:
    names = model.sources if stems is None else stems
    return [model.sources.index(name) for name in names]


def checked_mix(mix: Array, model: Model | BagOfModels) -> Array:
    """`mix` in the model's dtype; ValueError if it does not fit the model."""
    mix = as_array(mix)
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
