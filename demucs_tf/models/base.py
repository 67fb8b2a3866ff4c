"""What all models have in common: their configuration, what they accept, how they are kept."""

from __future__ import annotations

import inspect
from dataclasses import replace
from fractions import Fraction
from typing import Any, ClassVar

import keras
import tensorflow as tf

from demucs_tf.layers.base import Observable, is_portable, named_layers, portable, weights_are_blank
from demucs_tf.layers.conv import Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d
from demucs_tf.models.config import Config
from demucs_tf.models.ranges import check_dtype


class _Signature:
    """What `inspect` and `help` say of a class's arguments: the configuration's, and `dtype`."""

    def __get__(self, model: Any, cls: type[Model]) -> inspect.Signature:
        if model is not None:
            raise AttributeError("A model is called with a mixture, its class with arguments.")
        signature = inspect.signature(cls.config_class)
        own = [
            inspect.Parameter(
                "dtype", inspect.Parameter.KEYWORD_ONLY, default="float32", annotation="str"
            ),
            inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD, annotation="Any"),
        ]
        return signature.replace(
            parameters=[*signature.parameters.values(), *own],
            return_annotation=inspect.Signature.empty,
        )


class Model(Observable, keras.Model):
    """A Keras model of one configuration.

    Args:
        arguments: the configuration's, in its order.
        dtype: "float32", or "float64" for the strict mode.
        named: the configuration's by name, and Keras's own (`name`, `trainable`).

    Attributes:
        config: all arguments of the reference, with the present `segment`.
    """

    config_class: ClassVar[type[Config]]
    __signature__ = _Signature()

    def __init__(self, *arguments: Any, dtype: str = "float32", **named: Any) -> None:
        check_dtype(dtype)
        names = self.config_class.names(ours=True)
        ours = {name: named.pop(name) for name in names if name in named}
        super().__init__(dtype=dtype, **named)
        self.config = self.config_class(*arguments, **ours)
        self.sources = list(self.config.sources)
        self.audio_channels = self.config.audio_channels
        self.samplerate = self.config.samplerate

    @property
    def segment(self) -> float | Fraction:
        """Seconds: as long a piece as `apply_model` cuts; a bag may set it."""
        return self.config.segment

    @segment.setter
    def segment(self, seconds: float | Fraction) -> None:
        self.config = replace(self.config, segment=seconds)

    def build(self, input_shape: Any = None) -> None:
        """Do nothing: shapes follow from the constructor's arguments."""

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Do nothing, for the same reason."""

    def _complete(self) -> None:
        """Let Keras know, at the end of a constructor, that all variables are there.

        It counts only what it takes for built, and exports what it takes for called. Layers stay
        open to changes, which its own `build` would forbid.
        """
        for _, layer in named_layers(self):
            layer.built = True
        self._called = True
        self._build_shapes_dict = {"input_shape": (None, self.audio_channels, None)}

    def _rescale(self, reference: float | None) -> None:
        """Divide every convolution's weights by sqrt(std / reference), std being unbiased.

        Reference: demucs/demucs.py::rescale_module
        """
        if not reference or weights_are_blank():
            return
        for _, layer in named_layers(self):
            if isinstance(layer, (Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d)):
                weight = tf.convert_to_tensor(layer.weight)
                count = tf.cast(tf.size(weight), weight.dtype)
                std = tf.math.reduce_std(weight) * tf.sqrt(count / (count - 1))
                scale = tf.sqrt(std / reference)
                layer.weight.assign(weight / scale)
                layer.bias.assign(layer.bias / scale)

    def check(self, mix: Any) -> Any:
        """The mixture, refused if it is none for this model, as far as its shape is known.

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
            some = tf.debugging.Assert(
                tf.size(mix) > 0, ["mix has no samples: its shape is", tf.shape(mix)]
            )
            if not is_portable():  # else a layer may fail first, in TensorFlow's words
                with tf.control_dependencies([some]):
                    return tf.identity(mix)
        return mix

    def export(
        self,
        filepath: Any,
        format: str = "tf_saved_model",
        input_signature: Any = None,
        **named: Any,
    ) -> None:
        """Export as every Keras model: "tf_saved_model", "litert", "onnx" or "openvino".

        All but the first are graphs for other runtimes, of one item and, unless `input_signature`
        says otherwise, of the model's segment. `demucs_tf.export` has more to offer.
        """
        if format == "tf_saved_model":
            super().export(filepath, format=format, input_signature=input_signature, **named)
            return
        if input_signature is None:
            length = int(self.segment * self.samplerate)
            length = int(getattr(self, "valid_length", int)(length))
            shape = (1, self.audio_channels, length)
            input_signature = [tf.TensorSpec(shape, self.compute_dtype, name="mix")]
        if format == "litert":  # else the weights are variables, which few delegates take
            named.setdefault("experimental_enable_resource_variables", False)
        with portable():
            super().export(str(filepath), format=format, input_signature=input_signature, **named)

    def get_config(self) -> dict[str, Any]:
        """The arguments as plain data, as `keras.models.load_model` needs them."""
        return {**self.config.to_dict(), "dtype": self.compute_dtype, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Make a model of what `get_config` gave."""
        names = cls.config_class.names(ours=True)
        ours = {name: config[name] for name in names if name in config}
        others = {name: value for name, value in config.items() if name not in ours}
        return cls(**cls.config_class.from_dict(ours).arguments(), **others)
