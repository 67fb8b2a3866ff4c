"""The same optimizers on both sides.

SGD is the same in torch and Keras, but Keras rounds learning rate and momentum to float32, whatever
the type of the weights: those below are exact in it. Adam is not the same. Keras adds epsilon to
the root of the second moment before that is corrected for its start ("epsilon hat"), torch
afterwards: Keras would need another epsilon in every step, `epsilon * sqrt(1 - beta_2 ** step)`.
And Keras works the corrections out in the type of the weights, which costs float32 five of its
digits in the first step (1 - 0.999), torch in Python's numbers. So the harness has an update of its
own for Keras's Adam.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

RATES = {"sgd": 2.0**-4, "adam": 2.0**-10}
MOMENTUM = 0.875
BETAS = 0.9, 0.999
EPSILON = 1e-8


def torch_optimizer(name: str, parameters: Iterable[Any]) -> Any:
    """torch's "sgd" or "adam"."""
    import torch

    if name == "sgd":
        return torch.optim.SGD(parameters, lr=RATES[name], momentum=MOMENTUM)
    return torch.optim.Adam(parameters, lr=RATES[name], betas=BETAS, eps=EPSILON)


def keras_optimizer(name: str) -> Any:
    """Keras's, which does what torch's does."""
    import keras
    import tensorflow as tf

    if name == "sgd":
        return keras.optimizers.SGD(RATES[name], momentum=MOMENTUM)

    class Adam(keras.optimizers.Adam):
        """With torch's epsilon and corrections.

        Reference: torch.optim.Adam
        """

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            dtype = variable.dtype
            step = tf.cast(self.iterations + 1, tf.float64)
            first, second = (1 - tf.pow(tf.constant(b, tf.float64), step) for b in BETAS)
            index = self._get_variable_index(variable)
            m, v = self._momentums[index], self._velocities[index]
            self.assign_add(m, (gradient - m) * (1 - self.beta_1))
            self.assign_add(v, (tf.square(gradient) - v) * (1 - self.beta_2))
            size = tf.cast(tf.cast(learning_rate, tf.float64) / first, dtype)
            root = tf.sqrt(v) / tf.cast(tf.sqrt(second), dtype) + self.epsilon
            self.assign_sub(variable, size * m / root)

    return Adam(RATES[name], *BETAS, epsilon=EPSILON)
