"""An LSTM that sees long inputs in overlapping frames."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from demucs_tf.layers.base import BTC, Layer, is_joined_here, is_portable
from demucs_tf.layers.linear import Linear
from demucs_tf.layers.recurrent import LSTM
from demucs_tf.layers.shape import ceil_div, lengths, pad_axis, reshape, size, told


class BLSTM(Layer):
    """Bidirectional LSTM, a linear map back to C channels, and optionally a skip.

    Args:
        dim: C, of the input, the hidden state and the output.
        layers: how many LSTM layers.
        max_steps: longer inputs are cut into half-overlapping frames of this many steps, which
            the LSTM sees apart; None: never.
        skip: add the input to the output.

    Shape: (B, T, C) -> (B, T, C).

    Raises:
        ValueError: `max_steps` is not a multiple of 4.

    Reference: demucs/demucs.py::BLSTM
    """

    def __init__(
        self,
        dim: int,
        layers: int = 1,
        max_steps: int | None = None,
        skip: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if max_steps is not None and max_steps % 4:
            raise ValueError(f"BLSTM needs max_steps divisible by 4, got {max_steps}.")
        self.dim = dim
        self.max_steps = max_steps
        self.skip = skip
        self.lstm = LSTM(dim, dim, layers, dtype=self.dtype)
        self.linear = Linear(2 * dim, dim, dtype=self.dtype)

    def call(self, x: BTC) -> BTC:
        length = size(x, 1)
        if self.max_steps is None or (isinstance(length, int) and length <= self.max_steps):
            y = self._whole(x)
        elif is_joined_here() and self.lstm.num_layers > 1:
            y = self._framed_late(x, self.max_steps)
        elif isinstance(length, int):
            y = self._framed(x, self.max_steps)
        elif is_portable():
            y = self._unknown(x, self.max_steps)
        else:
            width = self.max_steps
            y = tf.cond(length > width, lambda: self._framed(x, width), lambda: self._whole(x))
        if self.skip:
            y = self.step("skip", tf.add, y, x)
        return y

    def _recurrent(self, x: Any) -> Any:
        return self.linear(self.lstm(x)[0])

    def _whole(self, x: Any) -> Any:
        # The reference goes time-first here and back; channels-last has nothing to move.
        x = self.step("frame", tf.identity, x)
        return self.step("unframe", tf.identity, self._recurrent(x))

    def _framed(self, x: Any, width: int) -> Any:
        length = size(x, 1)

        def cut(x: Any) -> Any:
            return reshape(frame(x, width), [-1, width, self.dim])  # (B N, width, C)

        def join(y: Any) -> Any:
            count = ceil_div(length, width // 2)
            frames = reshape(y, [*lengths(x)[:1], count, width, self.dim])
            return tf.ensure_shape(unframe(frames, length), x.shape)

        return self.step("unframe", join, self._recurrent(self.step("frame", cut, x)))

    def _framed_late(self, x: Any, width: int) -> Any:
        """As `_framed`, without what would be worked out twice, or for nothing.

        What a position is multiplied by does not depend on its frame. And frames give the middle
        half of the last layer's outputs; only the first one gives its first quarter as well.

        Of an input of unknown length that fits into one frame, the frame is that input, and gives
        all of it: a branch for that would have loops of its own.
        """
        lstm, last = self.lstm, self.lstm.num_layers - 1
        batch, length = size(x, 0), size(x, 1)
        count, steps, quarter = _measures(length, width)
        kept = steps - quarter  # by the last layer, in either direction
        blocks = tf.transpose(_blocks(x, width // 2, count), [2, 0, 1, 3])  # (stride, B, N + 1, C)

        def cut(gates: Any) -> Any:  # into (steps, B N, 4 D)
            frames = tf.concat([gates[:, :, :-1], gates[:, :, 1:]], 0)[:steps]
            return reshape(frames, [steps, -1, frames.shape[-1]])

        def firsts(rows: Any) -> Any:  # (..., B N, C) -> (..., B, C)
            steps = [size(rows, axis) for axis in range(len(rows.shape) - 2)]
            return reshape(rows, [*steps, batch, -1, rows.shape[-1]])[..., 0, :]

        y, _, _ = lstm.recur([cut(lstm.gates(blocks, 0, reverse)) for reverse in (False, True)], 0)
        for n in range(1, last):
            y, _, _ = lstm.layer(y, n)
        inputs = [lstm.gates(y[:kept], last, False), lstm.gates(y[quarter:], last, True)]
        outputs, h, c = lstm.recur(inputs, last)
        ahead, behind = tf.split(outputs, 2, -1)
        some = quarter if isinstance(quarter, int) else tf.maximum(quarter, 1)  # no loop of nothing
        rest = lstm.gates(firsts(y[:some]), last, True)
        rest = lstm.go_on_backwards(rest, last, firsts(h[1]), firsts(c[1]))
        first = tf.concat([firsts(ahead[:quarter]), rest[:quarter]], -1)
        middle = tf.concat([ahead[quarter:], behind[: kept - quarter]], -1)
        middle = reshape(tf.transpose(middle, [1, 0, 2]), [batch, -1, 2 * self.dim])
        row = tf.concat([tf.transpose(first, [1, 0, 2]), middle], 1)
        return self.linear(row[:, :length])

    def _unknown(self, x: Any, width: int) -> Any:
        """As `_whole` or `_framed`, whichever it has to be, without a branch in the graph.

        A short input is a single frame of all of its steps.
        """
        length, stride = size(x, 1), width // 2
        count = tf.where(length > width, ceil_div(length, stride), 1)
        steps = tf.minimum(length, width)

        def cut(x: Any) -> Any:
            starts = stride * tf.range(count)
            index = starts[:, None] + tf.range(steps)[None]  # (N, steps)
            frames = tf.gather(pad_axis(x, 0, width, axis=1), reshape(index, [-1]), axis=1)
            return reshape(frames, tf.stack([-1, steps, self.dim]))  # (B N, steps, C)

        def join(y: Any) -> Any:
            time = tf.range(length)
            number = tf.minimum(tf.maximum((time - stride // 2) // stride, 0), count - 1)
            rows = reshape(y, [size(x, 0), -1, self.dim])  # (B, N steps, C)
            return told(tf.gather(rows, number * steps + time - number * stride, axis=1))

        return self.step("unframe", join, self._recurrent(self.step("frame", cut, x)))


def _measures(length: Any, width: int) -> tuple[Any, Any, Any]:
    """How many frames there are, of how many steps, and how many each drops on either side.

    One that all fits into has as many steps as there are, and drops none. A length that is known is
    more than `width`.
    """
    count, quarter = ceil_div(length, width // 2), width // 4
    if isinstance(length, int):
        return count, width, quarter
    several = tf.cast(length > width, tf.int32)
    return 1 + several * (count - 1), tf.minimum(length, width), several * quarter


def frame(x: Any, width: int) -> Any:
    """Cut time into frames of `width` every `width // 2` samples, zeros on the right.

    Shape: (B, T, C) -> (B, N, width, C), N = ceil(T / (width // 2)).

    Reference: demucs/utils.py::unfold
    """
    # With half-overlapping frames, frame n is block n followed by block n + 1.
    stride = width // 2
    blocks = _blocks(x, stride, ceil_div(size(x, 1), stride))
    return tf.concat([blocks[:, :-1], blocks[:, 1:]], axis=2)


def _blocks(x: Any, stride: int, count: Any) -> Any:
    """Cut time into N blocks, and one of zeros more: (B, T, C) -> (B, N + 1, stride, C)."""
    x = pad_axis(x, 0, (count + 1) * stride - size(x, 1), axis=1)
    return reshape(x, [*lengths(x)[:1], count + 1, stride, x.shape[2]])


def unframe(frames: Any, length: Any) -> Any:
    """Put frames of `frame` back into a row, each giving its middle half, the ends all of theirs.

    Not an overlap-add: samples near a frame's border are dropped in favour of its neighbour's.

    Shape: (B, N, width, C) -> (B, length, C); N >= 2.

    Reference: demucs/demucs.py::BLSTM.forward
    """
    width, channels = frames.shape[2:]
    limit = width // 4
    middle = frames[:, :, limit:-limit]
    middle = reshape(middle, [*lengths(middle)[:1], size(frames, 1) * (width // 2), channels])
    row = tf.concat([frames[:, 0, :limit], middle, frames[:, -1, -limit:]], axis=1)
    return row[:, :length]
