"""Functions that only move samples: lengths, padding, trimming.

They take a static length where the shape is known (plain Python integers, errors at once) and a
tensor where a `tf.function` was traced with an unknown one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from demucs_tf.layers.base import is_joined_here, is_portable


def size(x: Any, axis: int) -> Any:
    """Return the length of one axis: an int if it is known, else a scalar int32 tensor."""
    static = x.shape[axis]
    if static is not None:
        return static
    if not is_joined_here():
        return tf.shape(x)[axis]
    x, axis = _as_long(x, axis % len(x.shape))
    return tf.unstack(tf.shape(x))[axis] if x.shape.rank else x


# A graph of unknown lengths asks for them at every step, and an answer takes operations: more of
# them than the arithmetic has. But where a length comes from can be followed back through what
# leaves it alone: operations that keep the shape of their first input, and those that broadcast.
_ALIKE = {
    "Abs", "AddN", "BiasAdd", "Cast", "Erf", "Identity", "Neg", "OnesLike", "Relu", "Sigmoid",
    "Softmax", "Sqrt", "Square", "StopGradient", "Tanh",
}  # fmt: skip
_PAIRS = {"AddV2", "Mul", "RealDiv", "Sub"}


def _as_long(x: Any, axis: int) -> tuple[Any, int]:
    """Find an earlier tensor with an axis of the same unknown length; or the length, a scalar."""
    op = x.op
    if op.type in _ALIKE:
        return _as_long(op.inputs[0], axis)
    if op.type in _PAIRS:
        # What is broadcast along the axis has a known length of 1 there, or no such axis.
        places = [(each, axis + len(each.shape) - len(x.shape)) for each in op.inputs]
        long = [place for place in places if place[1] >= 0 and place[0].shape[place[1]] is None]
        first, *others = [_as_long(*place) for place in long]
        if all(other[0] is first[0] and other[1] == first[1] for other in others):
            return first
    if op.type == "Reshape" and op.inputs[1].op.type == "Pack":
        length = op.inputs[1].op.inputs[axis]
        if length.op.type != "Const":  # which is -1
            return length, 0
    return x, axis


def lengths(x: Any) -> list[Any]:
    """Return the lengths of all axes, for `reshape` alone: a single unknown one is -1.

    With an unknown batch, which is how models run, shapes then stay constants. Worked out from
    `tf.shape`, each takes four operations; without those, and with plainer sums in GroupNorm,
    HTDemucs' graph has 8,700 operations in place of 16,300, and takes 60 MB less.
    """
    if list(x.shape).count(None) == 1:
        return [-1 if length is None else length for length in x.shape]
    return [size(x, axis) for axis in range(len(x.shape))]


def reshape(x: Any, shape: Any) -> Any:
    """Return `x` in another shape: a list of lengths, or a tensor of them.

    Outside of graphs TensorFlow takes twice as long for a list of numbers as for an array.
    """
    known = isinstance(shape, list) and all(isinstance(length, int) for length in shape)
    return tf.reshape(x, np.array(shape, np.int32) if known else shape)


def one_of(x: Any) -> Any:
    """Return the number 1, which nobody who does not know the batch can know beforehand."""
    return tf.cast(tf.minimum(size(x, 0), 1), tf.float32)


def ceil_div(a: Any, b: int) -> Any:
    """Divide and round up, for an int or a tensor; b > 0.

    Not `-(-a // b)`: ONNX cuts the quotient of whole numbers towards zero, so both have to be
    positive.
    """
    return (a + b - 1) // b


def pad_axis(x: Any, left: Any, right: Any, axis: int) -> Any:
    """Zero-pad one axis."""
    paddings = [[0, 0] for _ in x.shape]
    paddings[axis] = [left, right]
    if isinstance(left, int) and isinstance(right, int):  # outside of graphs in a fifth of the time
        return told(tf.raw_ops.Pad(input=x, paddings=np.array(paddings, np.int32)))
    if is_portable():
        return told(tf.pad(x, paddings))
    # A list is packed twice, number by number; but from one, TensorFlow sees which axes stay.
    sides = np.zeros([2, len(x.shape), 2], np.int32)
    sides[0, axis, 0] = sides[1, axis, 1] = 1
    first, *others = [
        count * side
        for count, side in zip((left, right), sides, strict=True)
        if not isinstance(count, int) or count
    ]
    y = tf.raw_ops.Pad(input=x, paddings=sum(others, first))
    known = x.shape.as_list()
    known[axis] = None
    y.set_shape(known)
    return y


def told(x: Any) -> Any:
    """Say again which lengths are known, where one is not: LiteRT's converter loses them."""
    if list(x.shape).count(None) == 1 and is_portable():
        return reshape(x, lengths(x))
    return x


def parts(x: Any, count: int) -> list[Any]:
    """Cut the last axis into so many equal parts."""
    if not is_portable():
        return list(tf.split(x, count, -1))  # a fourth of the operations
    width = x.shape[-1] // count
    return [x[..., start : start + width] for start in range(0, count * width, width)]


def center_trim(x: Any, length: Any, axis: int) -> Any:
    """Cut `axis` to `length` around its centre; an odd surplus loses its sample on the right.

    Raises:
        ValueError: x is shorter than `length` (only where both are known).

    Reference: demucs/utils.py::center_trim
    """
    delta = size(x, axis) - length
    if isinstance(delta, int) and delta < 0:
        raise ValueError(f"center_trim needs at least {length} samples, got {length + delta}.")
    parts = [slice(None) for _ in x.shape]
    parts[axis] = slice(delta // 2, delta // 2 + length)
    return x[tuple(parts)]
