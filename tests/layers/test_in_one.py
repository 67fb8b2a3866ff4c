"""Layers that are worked out in one with their neighbours give what they give one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from demucs_tf import blocks
from demucs_tf.blocks.blstm import BLSTM
from demucs_tf.blocks.dconv import DConv
from demucs_tf.blocks.decoder import HDecLayer
from demucs_tf.blocks.encoder import HEncLayer
from demucs_tf.blocks.transformer import MyTransformerEncoderLayer
from demucs_tf.layers.base import joined, portable
from demucs_tf.layers.conv import Conv1d
from demucs_tf.layers.norm import fold
from demucs_tf.layers.resample import resample_frac
from demucs_tf.models.demucs import DemucsTF
from tests.support.fakes import with_processor

DCONV: dict[str, Any] = {"compress": 4, "depth": 2, "init": 0.5}
COMMON: dict[str, Any] = {
    "kernel_size": 8,
    "stride": 4,
    "norm_groups": 1,
    "empty": False,
    "dconv": True,
    "norm": False,
    "dconv_kw": DCONV,
    "pad": True,
    "rewrite": True,
    "dtype": "float64",
}
DECODER: dict[str, Any] = {**COMMON, "context": 1, "context_freq": True, "last": False}


def encoder(chin: int, freq: bool) -> Callable[[], Any]:
    return lambda: HEncLayer(chin, 32, freq=freq, context=0, **COMMON)


def decoder(freq: bool) -> Callable[[], Any]:
    def make() -> Any:
        layer = HDecLayer(16, 6, freq=freq, **DECODER)
        return Call(layer, lambda x: layer(x, x, length=61)[0])

    return make


class Call:
    """A layer that wants more than a tensor."""

    def __init__(self, layer: Any, function: Callable[[Any], Any]) -> None:
        self.variables = layer.variables
        self._function = function

    def __call__(self, x: Any) -> Any:
        return self._function(x)


def transformer() -> Any:
    return MyTransformerEncoderLayer(16, 2, 32, 0.0, True, 0, True, 1, True, dtype="float64")


def dconv(**options: Any) -> Callable[[], Any]:
    return lambda: DConv(16, **{**DCONV, **options}, dtype="float64")


def lstm(layers: int, **options: Any) -> Callable[[], Any]:
    return lambda: BLSTM(4, layers, max_steps=8, **options, dtype="float64")


class Resampling:
    """Between two rates, of which only the ratio counts."""

    variables = ()

    def __init__(self, old: int, new: int) -> None:
        self._rates = old, new

    def __call__(self, x: Any) -> Any:
        return tf.transpose(resample_frac(tf.transpose(x, [0, 2, 1]), *self._rates), [0, 2, 1])


def in_time(**options: Any) -> Callable[[], Any]:
    """Time-domain models, whose second layer has norms."""
    arguments: dict[str, Any] = {"channels": 8, "depth": 2, "norm_starts": 1, "resample": False}

    def make() -> Any:
        model = DemucsTF(["a", "b"], **{**arguments, **options}, dtype="float64")
        return Call(model, lambda x: model(tf.transpose(x, [0, 2, 1])))

    return make


LAYERS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "branches": (dconv(), (3, 20, 16)),
    "branches, two rows of sums": (dconv(), (1, 700, 16)),
    "branches, ReLU": (dconv(gelu=False), (2, 20, 16)),
    "branches, LSTM and attention": (dconv(lstm=True, attn=True), (2, 20, 16)),
    "branches without norms": (dconv(norm=False), (2, 20, 16)),
    "branches, wide": (dconv(compress=1), (2, 20, 16)),
    "convolution": (lambda: Conv1d(16, 32, 4, 2, 1, dtype="float64"), (3, 21, 16)),
    "convolution, dilated": (lambda: Conv1d(16, 32, 2, 1, 0, 2, dtype="float64"), (2, 21, 16)),
    "LSTM in frames": (lstm(2, skip=True), (2, 21, 4)),
    "LSTM in frames, one layer": (lstm(1), (2, 21, 4)),
    "LSTM in frames, three layers": (lstm(3), (2, 21, 4)),
    "LSTM without frames": (lstm(2), (2, 7, 4)),
    "encoder": (encoder(16, False), (2, 61, 16)),
    "encoder from few channels": (encoder(2, False), (2, 61, 2)),
    "encoder, frequencies": (encoder(16, True), (2, 32, 9, 16)),
    "encoder, frequencies, from few channels": (encoder(4, True), (2, 32, 9, 4)),
    "decoder": (decoder(False), (2, 16, 16)),
    "decoder, frequencies": (decoder(True), (2, 8, 9, 16)),
    "transformer": (transformer, (2, 20, 16)),
    "time": (in_time(), (2, 100, 2)),
    "time, one item": (in_time(norm_starts=2), (1, 100, 2)),
    "time, ReLU": (in_time(gelu=False, glu=False), (2, 100, 2)),
    "time, kernels of another length": (in_time(kernel_size=7, stride=3), (2, 100, 2)),
    "time, without the 1 x 1 convolutions": (in_time(rewrite=False), (2, 100, 2)),
    "twice the rate": (lambda: Resampling(1, 2), (2, 333, 2)),
    "half the rate": (lambda: Resampling(2, 1), (2, 333, 2)),
    "half the rate of a few samples": (lambda: Resampling(2, 1), (2, 3, 2)),
    "two thirds of the rate": (lambda: Resampling(3, 2), (2, 200, 2)),
}


@contextmanager
def in_a_file() -> Iterator[None]:
    """As the layers of exported files are."""
    with joined(), portable():
        yield


def ways() -> list[AbstractContextManager[None]]:
    return [nullcontext(), joined(), in_a_file()]


def fill(layer: Any) -> Any:
    random = np.random.RandomState(1)
    for variable in layer.variables:
        variable.assign(0.5 * random.standard_normal(variable.shape) + (len(variable.shape) == 1))
    return layer


def draw(*shape: int) -> Any:
    return tf.constant(np.random.RandomState(0).standard_normal(shape))


def run(layer: Any, x: Any) -> tuple[Any, list[Any]]:
    """The output, and the gradients of something that depends on all of it."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
        loss = tf.reduce_sum(y * tf.sin(y))
    return y, tape.gradient(loss, [x, *(variable.value for variable in layer.variables)])


@pytest.mark.parametrize("name", LAYERS)
def test_outputs_and_gradients(name: str) -> None:
    make, shape = LAYERS[name]
    layer, x = fill(make()), draw(*shape)
    results = []
    for way in ways():
        with way:
            results.append(run(layer, x))
    (plain, wanted), (found, gradients), (exported, _) = results
    for each in (found, exported):
        np.testing.assert_allclose(each, plain, rtol=0, atol=1e-11 * np.abs(plain).max())
    for gradient, other in zip(gradients, wanted, strict=True):
        assert (gradient is None) == (other is None)
        if other is not None:
            scale = max(np.abs(other).max(), 1e-3)
            np.testing.assert_allclose(gradient, other, rtol=0, atol=1e-9 * scale)


def test_a_norm_behind_many_channels_is_not_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = fill(dconv()()), draw(2, 20, 16)
    folded: list[Any] = []

    def seen(*args: Any) -> Any:
        folded.append(args)
        return fold(*args)

    monkeypatch.setattr(blocks.dconv, "fold", seen)
    plain = layer(x).numpy()
    counts = []
    with joined():
        for most in (4, 3):  # it has four
            monkeypatch.setattr(blocks.dconv, "_MOST", most)
            np.testing.assert_allclose(layer(x), plain, rtol=0, atol=1e-11 * np.abs(plain).max())
            counts.append(len(folded))
    assert counts == [2, 2]  # one for each of two branches, and no more


@pytest.mark.parametrize(
    ("flags", "most", "dilates"),
    [("avx2 avx512bw", "", True), ("avx2 avx512bw", "avx2", False), ("avx2", "", False)],
)
def test_without_avx512_no_convolution_is_dilated(
    flags: str, most: str, dilates: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_processor(tmp_path, monkeypatch, flags, {"ONEDNN_MAX_CPU_ISA": most})
    layer, x = fill(dconv()()), draw(2, 21, 16)
    with joined():
        graph = tf.function(lambda x: layer(x), autograph=False)
        operations = graph.get_concrete_function(x).graph.get_operations()
    convolutions = [each.get_attr("dilations") for each in operations if each.type == "Conv2D"]
    assert [1, 1, 1, 1] in convolutions
    assert ([1, 1, 2, 1] in convolutions) == dilates
    np.testing.assert_allclose(graph(x), layer(x), rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", LAYERS)
def test_unknown_lengths(name: str) -> None:
    make, shape = LAYERS[name]
    layer, x = fill(make()), draw(*shape)
    signature = [tf.TensorSpec([None, *shape[1:-2], None, shape[-1]], tf.float64)]
    with joined():
        graph = tf.function(lambda x: layer(x), input_signature=signature, autograph=False)
        graph.get_concrete_function()
    expected = layer(x).numpy()
    np.testing.assert_allclose(graph(x), expected, rtol=0, atol=1e-11 * np.abs(expected).max())


@pytest.mark.parametrize("spread", [0.0, 1e-6, 1e-3, 1.0])
def test_norms_of_what_is_nearly_constant(spread: float) -> None:
    """In float32, where squares of large means could take all digits of a variance."""
    layer, exact = (fill(DConv(16, **DCONV, dtype=dtype)) for dtype in ("float32", "float64"))
    x = np.float32(100 + spread * draw(2, 300, 16))
    truth = exact(tf.constant(x, tf.float64)).numpy()
    errors = []
    for way in ways():
        with way:
            errors.append(np.linalg.norm(layer(x).numpy() - truth))
    assert max(errors[1:]) <= 2 * errors[0] + 1e-6 * np.linalg.norm(truth)
