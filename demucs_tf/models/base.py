"""What all models have in common: their arguments, what they accept, and their configuration."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import keras
import tensorflow as tf

from demucs_tf.layers.base import Observable


class Model(Observable, keras.Model):
    """A Keras model that keeps its constructor's arguments.

    Args:
        arguments: `locals()` of the constructor.
    """

    sources: list[str]
    audio_channels: int
    samplerate: int
    segment: float | Fraction

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        dtype = arguments["dtype"]
        if dtype not in ("float32", "float64"):
            raise ValueError(f'dtype must be "float32" or "float64", got {dtype!r}.')
        super().__init__(dtype=dtype, **arguments["kwargs"])
        own = ("self", "dtype", "kwargs", "__class__")
        self._arguments = {name: value for name, value in arguments.items() if name not in own}
        self._arguments["sources"] = self.sources = list(arguments["sources"])
        self.audio_channels = arguments["audio_channels"]
        self.samplerate = arguments["samplerate"]
        self.segment = arguments["segment"]

    def build(self, *_: Any) -> None:
        """Nothing is left to do: shapes follow from the constructor's arguments."""
        self.built = True

    def check(self, mix: Any) -> None:
        """Refuse what is no mixture for this model, as far as its shape is known.

        A graph in which B or T is unknown looks for samples when it runs. Empty tensors must not
        get further: TensorFlow's convolutions give them another shape with oneDNN than without,
        so the processor would decide whether they are refused.

        Raises:
            ValueError: not (B, A, T), T is 0, or not floating point.
            tf.errors.InvalidArgumentError: no samples, in a graph of unknown shape.
        """
        if not hasattr(mix, "shape") or not hasattr(mix, "dtype"):
            raise ValueError(f"mix must be a tensor or an array, got {type(mix).__name__}.")
        shape = tf.TensorShape(mix.shape)
        if shape.rank not in (None, 3) or (
            shape.rank == 3 and shape[1] not in (None, self.audio_channels)
        ):
            raise ValueError(
                f"mix must be (batch, {self.audio_channels} audio channels, samples), "
                f"got {tuple(shape)}."
            )
        if shape.rank == 3 and 0 in (shape[0], shape[2]):
            raise ValueError(f"mix has no samples: its shape is {tuple(shape)}.")
        dtype = tf.as_dtype(mix.dtype)
        if not dtype.is_floating:
            raise ValueError(f"mix must be floating point in [-1, 1], got {dtype.name}.")
        if not shape.is_fully_defined():
            tf.debugging.Assert(
                tf.size(mix) > 0, ["mix has no samples: its shape is", tf.shape(mix)]
            )

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as `keras.models.load_model` needs them."""
        arguments = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in self._arguments.items()
        }
        config = {**arguments, "dtype": self.compute_dtype, "name": self.name}
        # The present one, which a bag may have set; "39/5", because JSON has no fractions.
        exact = isinstance(self.segment, Fraction)
        return {**config, "segment": str(self.segment) if exact else self.segment}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The inverse of `get_config`."""
        segment = config["segment"]
        return cls(
            **{**config, "segment": Fraction(segment) if isinstance(segment, str) else segment}
        )
