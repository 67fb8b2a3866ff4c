"""How good stems are: the signal-to-distortion ratio of each, in dB."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

_FLOOR = 1e-7  # of energies; the reference's


def sdr(stems: Any, estimates: Any) -> Any:
    """10 log10(|stems|^2 / |stems - estimates|^2), (B, S, A, T) twice -> (B, S), in dB.

    Reference: demucs/evaluate.py::new_sdr
    """
    signal = tf.reduce_sum(tf.square(stems), axis=(2, 3)) + _FLOOR
    noise = tf.reduce_sum(tf.square(stems - estimates), axis=(2, 3)) + _FLOOR
    ten = tf.constant(10.0, signal.dtype)
    return 10 * tf.math.log(signal / noise) / tf.math.log(ten)


@keras.saving.register_keras_serializable(package="demucs_tf")
class StemSDR(keras.metrics.Mean):
    """Mean `sdr` of one stem over the items in which it sounds.

    Args:
        index: of the stem among the model's sources.
        name: of the metric, `sdr_drums`.
    """

    def __init__(self, index: int, name: str, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.index = index

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Take in a batch: stems and estimates, (B, S, A, T)."""
        stem = slice(self.index, self.index + 1)
        stems, estimates = y_true[:, stem], y_pred[:, stem]
        sounds = tf.reduce_any(tf.not_equal(stems, 0), axis=(1, 2, 3))
        return super().update_state(sdr(stems, estimates)[:, 0], tf.cast(sounds, "float32"))

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {**super().get_config(), "index": self.index}
