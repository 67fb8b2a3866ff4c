"""A gradient of ours is there for whoever takes gradients, and costs nobody else anything."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest
import tensorflow as tf

from demucs_tf.layers.base import with_gradient


def _doubled(x: Any, factor: Any) -> Any:
    """x * factor; both slopes are marked by a 7."""
    return with_gradient(
        tf.multiply, lambda slope, x, factor: (7 * slope, 7 * slope * x), x, factor
    )


@pytest.mark.parametrize("graph", [False, True])
def test_the_gradient_is_ours(graph: bool) -> None:
    x, factor = tf.constant([1.0, 3.0]), tf.Variable([2.0, 2.0])
    run = tf.function(_doubled) if graph else _doubled
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = run(x, factor)
    assert y.numpy().tolist() == [2, 6]
    assert [each.numpy().tolist() for each in tape.gradient(y, [x, factor])] == [[7, 7], [7, 21]]


def test_a_traced_function_is_differentiated_later() -> None:
    """No tape is there while it is traced."""
    x, factor = tf.constant([1.0, 3.0]), tf.constant([2.0, 2.0])
    run = tf.function(_doubled)
    run(x, factor)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = run(x, factor)
    assert tape.gradient(y, x).numpy().tolist() == [7, 7]


def test_where_nobody_records_nothing_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Mock(wraps=tf.custom_gradient)
    monkeypatch.setattr(tf, "custom_gradient", watched)
    x = tf.constant([1.0, 3.0])
    assert _doubled(x, x).numpy().tolist() == [1, 9]
    watched.assert_not_called()
    with tf.GradientTape():
        assert _doubled(x, x).numpy().tolist() == [1, 9]
    watched.assert_called_once()
