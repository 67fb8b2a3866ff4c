"""Batches of excerpts: each depends on the seed and the step, and on nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from demucs_tf.training.augment import NONE, Augmentation
from demucs_tf.training.stems import Piece, StemFolder

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Excerpt:
    """Where a stem of an item comes from: piece and first sample."""

    piece: Piece
    start: int


class Batches:
    """Random excerpts of stems, and their sums as mixtures.

    Args:
        folder: the pieces; a piece is drawn as often as it is long.
        size: B, items of a batch.
        seconds: length of an excerpt. A shorter piece is followed by silence.
        augmentation: what happens to the stems.
        seed: other seeds give other batches.
        dtype: "float32" or "float64", the model's.

    Attributes:
        length: T, samples of an excerpt.
    """

    def __init__(
        self,
        folder: StemFolder,
        size: int,
        seconds: float,
        augmentation: Augmentation = NONE,
        seed: int = 0,
        dtype: str = "float32",
    ) -> None:
        if size < 1 or seconds <= 0:
            raise ValueError(f"A batch needs items and seconds above 0, got {size} and {seconds}.")
        self.folder = folder
        self.size = size
        self.length = max(1, round(seconds * folder.samplerate))
        self.augmentation = augmentation
        self.seed = seed
        self.dtype = dtype
        self.failure: Exception | None = None
        frames = np.array([piece.frames for piece in folder.pieces], dtype=np.float64)
        self._shares = frames / frames.sum()

    def batch(self, step: int) -> tuple[Array, Array]:
        """The mixtures (B, A, T) and stems (B, S, A, T) of one step, the first being 0."""
        random = np.random.default_rng([self.seed, step])
        plan = self._plan(random)
        shape = (self.size, len(self.folder.sources), self.folder.channels, self.length)
        stems = np.empty(shape, self.dtype)
        for item, excerpts in enumerate(plan):
            for index, (stem, excerpt) in enumerate(excerpts.items()):
                wav = excerpt.piece.read(stem, excerpt.start, self.length)
                stems[item, index] = self.augmentation.change(wav, random)
        return stems.sum(axis=1), stems

    def origin(self, step: int) -> str:
        """Where the batch of a step comes from, in words."""
        plan = self._plan(np.random.default_rng([self.seed, step]))
        rate = self.folder.samplerate
        return "; ".join(
            ", ".join(f"{s} of {e.piece.name} at {e.start / rate:.1f} s" for s, e in item.items())
            for item in plan
        )

    def dataset(self, first: int, last: int) -> Any:
        """A `tf.data.Dataset` of the batches `first` to `last`, without it, read ahead in order."""
        import tensorflow as tf

        def read(step: Any) -> tuple[Array, Array]:
            try:
                return self.batch(int(step))
            except Exception as error:  # TensorFlow would make a line of text of it
                self.failure = error
                raise

        def load(step: Any) -> tuple[Any, Any]:
            mix, stems = tf.numpy_function(read, [step], (self.dtype, self.dtype))
            sources, channels = len(self.folder.sources), self.folder.channels
            mix.set_shape((self.size, channels, self.length))
            stems.set_shape((self.size, sources, channels, self.length))
            return mix, stems

        steps = tf.data.Dataset.range(first, last)
        return steps.map(load, num_parallel_calls=2, deterministic=True).prefetch(2)

    def _plan(self, random: np.random.Generator) -> list[dict[str, Excerpt]]:
        return [self._item(random) for _ in range(self.size)]

    def _item(self, random: np.random.Generator) -> dict[str, Excerpt]:
        if random.random() < self.augmentation.remix:
            return {stem: self._excerpt(random) for stem in self.folder.sources}
        return dict.fromkeys(self.folder.sources, self._excerpt(random))

    def _excerpt(self, random: np.random.Generator) -> Excerpt:
        piece = self.folder.pieces[random.choice(len(self._shares), p=self._shares)]
        return Excerpt(piece, int(random.integers(max(1, piece.frames - self.length + 1))))
