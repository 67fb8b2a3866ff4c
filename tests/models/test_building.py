"""What a finished model shows: its layers in the reference's order, counts, an export."""

from __future__ import annotations

import importlib
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import demucs_tf
from demucs_tf.checkpoints.weights import shapes_of
from demucs_tf.layers.base import Budget, OverBudget, blank_weights, limited, named_layers
from tests.support.fakes import noise

HYBRID: dict[str, Any] = {"channels": 4, "nfft": 256, "depth": 4, "dconv_comp": 2, "dconv_attn": 3}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "Demucs": ("DemucsTF", {"channels": 4, "depth": 2, "lstm_layers": 1}),
    "HDemucs": ("HDemucsTF", {**HYBRID, "multi_freqs": [0.4], "multi_freqs_depth": 1}),
    "masks": ("HDemucsTF", {**HYBRID, "cac": False}),
    "HTDemucs": (
        "HTDemucsTF",
        {
            "channels": 4,
            "nfft": 256,
            "depth": 2,
            "dconv_comp": 2,
            "bottom_channels": 8,
            "t_layers": 2,
            "t_heads": 2,
            "segment": 0.02,
        },
    ),
}
ORDER = {
    "Demucs": ["encoder", "decoder", "lstm"],
    "HDemucs": ["encoder", "decoder", "tencoder", "tdecoder", "freq_emb"],
    "masks": ["encoder", "decoder", "tencoder", "tdecoder", "freq_emb"],
    "HTDemucs": [
        *("encoder", "decoder", "tencoder", "tdecoder", "freq_emb"),
        *("channel_upsampler", "channel_downsampler"),
        *("channel_upsampler_t", "channel_downsampler_t", "crosstransformer"),
    ],
}


def make(name: str, **changes: Any) -> Any:
    cls, arguments = MODELS[name]
    return getattr(demucs_tf, cls)(["a", "b"], **{**arguments, **changes})


@pytest.mark.parametrize("name", MODELS)
def test_the_order_of_attributes_is_an_api(name: str) -> None:
    """States that diffq packed have no names: they are told apart by the order of the layers."""
    paths = [path.partition(".")[0] for path, _ in named_layers(make(name))]
    assert [path for path in dict.fromkeys(paths) if path] == ORDER[name]


@pytest.mark.live
@pytest.mark.parametrize("name", MODELS)
def test_weights_are_in_the_order_of_the_references(name: str) -> None:
    cls, arguments = MODELS[name]
    reference = getattr(importlib.import_module(f"demucs.{cls[:-2].lower()}"), cls[:-2])
    module = reference(["a", "b"], **arguments)
    wanted = {key: tuple(parameter.shape) for key, parameter in module.named_parameters()}
    assert list(shapes_of(make(name)).items()) == list(wanted.items())


@pytest.mark.parametrize("name", MODELS)
def test_a_budget_is_exact_and_nothing_beyond_it_is_made(name: str) -> None:
    model = make(name)
    variables, numbers = len(model.variables), model.count_params()
    with limited(Budget(variables, numbers)):
        make(name)
    for budget in (Budget(variables - 1, numbers), Budget(variables, numbers - 1)):
        with limited(budget), pytest.raises(OverBudget):
            make(name)
    with limited(Budget(variables, numbers)), pytest.raises(OverBudget):
        make(name, channels=8192)  # 20 GB, if it were made


@pytest.mark.parametrize("name", MODELS)
def test_a_summary_counts_before_the_first_call(name: str) -> None:
    model, lines = make(name), []
    model.summary(print_fn=lambda line, **_: lines.append(line))
    text = "\n".join(lines)
    assert "unbuilt" not in text
    assert f"Total params: {model.count_params():,}" in text
    assert all(layer.built and layer.count_params() for layer in model.layers if layer.variables)


# Keras traces a model three times.
@pytest.mark.parametrize("name", ["Demucs", pytest.param("HTDemucs", marks=pytest.mark.export)])
def test_keras_exports_a_model_before_its_first_call(name: str, tmp_path: Path) -> None:
    model, mix = make(name), noise(1, 2, 800).astype(np.float32)
    model.export(tmp_path, verbose=False)
    wanted = model(mix)
    exported = tf.saved_model.load(tmp_path)
    np.testing.assert_allclose(
        exported.serve(mix), wanted, rtol=0, atol=1e-5 * np.abs(wanted).max()
    )


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("blank", [False, True])
def test_making_a_model_leaves_the_global_generators_alone(name: str, blank: bool) -> None:
    before = random.getstate(), repr(np.random.get_state())  # noqa: NPY002
    if blank:
        with blank_weights():
            make(name)
    else:
        make(name)
    assert (random.getstate(), repr(np.random.get_state())) == before  # noqa: NPY002


@pytest.mark.parametrize("shape", [[1, 2, None], [None, 2, None], [None, 2, 333]], ids=str)
def test_masks_where_some_lengths_are_known(shape: list[int | None]) -> None:
    model, mix = make("masks"), noise(1, 2, 333).astype(np.float32)
    graph = tf.function(lambda mix: model(mix), [tf.TensorSpec(shape, tf.float32)])
    wanted = model(mix)
    np.testing.assert_allclose(graph(mix), wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


RESIDENT = """
import gc, os
import demucs_tf

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

sizes = []
for _ in range(12):
    demucs_tf.HTDemucsTF(["drums", "rest"], channels=8, t_layers=1)
    gc.collect()
    sizes.append(resident())
print(sizes[-1] - sizes[3])
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc to read memory from")
def test_models_that_are_gone_leave_nothing() -> None:
    """Kernels of variables, of which TensorFlow keeps one for each name, were 9 MB a model."""
    command = [sys.executable, "-c", RESIDENT]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 8 << 20


def test_variables_have_the_path_of_their_layer() -> None:
    """In Keras; their names in TensorFlow are shared, as kernels go by them."""
    model = make("Demucs")
    assert not any("/" in variable.value.name for variable in model.weights)
    paths = [variable.path for variable in model.weights]
    assert all("/" in path for path in paths)
    assert len(set(paths)) == len(paths)
