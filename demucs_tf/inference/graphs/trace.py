"""From a model to a `tf.function` of its weights and inputs."""

from __future__ import annotations

from functools import partial
from typing import Any

from demucs_tf.utils.quiet import import_tensorflow


def traced(model: Any, jit: bool = False, length: int | None = None) -> Any:
    """A `tf.function` of the weights' values and the inputs, so that it fits any weights.

    Args:
        model: see `demucs_tf.inference.single.Model`.
        jit: let XLA compile it.
        length: of the mixture in samples; None: any.
    """
    tf = import_tensorflow()
    import keras

    from demucs_tf.layers.base import joined

    variables = getattr(model, "variables", [])

    def call(values: list[Any], *inputs: Any) -> Any:
        mapping = list(zip(variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping), joined():
            return model(*inputs)

    weights = [tf.TensorSpec(variable.shape, variable.dtype) for variable in variables]
    mix = tf.TensorSpec([None, model.audio_channels, length], model.compute_dtype)
    signature = [weights, mix]
    if hasattr(model, "draw_shift"):
        signature.append(tf.TensorSpec([None], tf.int32))
    # No function of ours: TensorFlow would count the traces of all models as those of one function,
    # and warn of too many.
    return tf.function(partial(call), input_signature=signature, jit_compile=jit)
