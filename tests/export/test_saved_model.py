"""A SavedModel: with TensorFlow alone, at any length, and as TensorFlow Serving asks for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demucs_tf.errors import ExportError
from demucs_tf.export import export_model, read_metadata
from tests.export.models import Array, expected, mixture, model, separated, snr

Exported = Callable[..., Path]
ALONE = """
import sys
import numpy as np, tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
mix = np.load(sys.argv[2])
np.save(sys.argv[3], loaded.signatures["separate"](mix=tf.constant(mix))["stems"])
assert not [name for name in sys.modules if name.startswith(("demucs_tf", "torch"))]
"""


def test_tensorflow_alone_loads_it(exported: Exported, tmp_path: Path) -> None:
    path = exported("htdemucs", "saved-model")
    mix = mixture(1234, batch=2)
    np.save(tmp_path / "mix.npy", mix)
    files = [path, tmp_path / "mix.npy", tmp_path / "stems.npy"]
    subprocess.run(
        [sys.executable, "-c", ALONE, *files],
        check=True,
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    assert snr(expected(model("htdemucs"), mix), np.load(tmp_path / "stems.npy")) >= 100


@pytest.mark.parametrize("kind", ["demucs", "hdemucs"])
def test_any_batch_and_length(exported: Exported, kind: str) -> None:
    path = exported(kind, "saved-model")
    assert read_metadata(path).any_length
    for length in (1111, 3000):
        mix = mixture(length, batch=2)
        assert snr(expected(model(kind), mix), separated(path, mix, "separate")) >= 100


def test_the_weights_are_there_once(exported: Exported) -> None:
    (data,) = (exported("htdemucs", "saved-model") / "variables").glob("variables.data-*")
    assert data.stat().st_size <= 4 * model("htdemucs").count_params() + 20_000


def signature(path: Path, name: str) -> Any:
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    proto = SavedModel.FromString((path / "saved_model.pb").read_bytes())
    (graph,) = [each for each in proto.meta_graphs if "serve" in each.meta_info_def.tags]
    return graph.signature_def[name]


def served(path: Path, request: str) -> Any:
    """What TensorFlow Serving does with the body of a request to `:predict`."""
    import tensorflow as tf

    asked = json.loads(request)
    (name,) = signature(path, asked["signature_name"]).inputs
    columns = asked["inputs"][name] if "inputs" in asked else asked["instances"]
    mix = tf.constant(np.array(columns, np.float32))
    loaded = tf.saved_model.load(str(path))
    (stems,) = loaded.signatures[asked["signature_name"]](**{name: mix}).values()
    return {"outputs" if "inputs" in asked else "predictions": stems.numpy().tolist()}


@pytest.mark.parametrize("name", ["separate", "separate_segment"])
@pytest.mark.export
def test_what_serving_is_asked(exported: Exported, name: str) -> None:
    path = exported("htdemucs", "saved-model")
    found = signature(path, name)
    assert found.method_name == "tensorflow/serving/predict"
    assert (list(found.inputs), list(found.outputs)) == (["mix"], ["stems"])
    length = read_metadata(path).length
    shape = [axis.size for axis in found.inputs["mix"].tensor_shape.dim]
    assert shape == [-1, 2, -1 if name == "separate" else length]
    mix = mixture(length, batch=2)
    wanted = expected(model("htdemucs"), mix)
    rows = {"signature_name": name, "instances": mix.tolist()}
    columns = {"signature_name": name, "inputs": {"mix": mix.tolist()}}
    for body, key in ((rows, "predictions"), (columns, "outputs")):
        answer: Array = np.array(served(path, json.dumps(body))[key], np.float32)
        assert snr(wanted, answer) >= 100


def test_a_tensor_of_grpc(exported: Exported) -> None:
    import tensorflow as tf

    path = exported("demucs", "saved-model")
    found = signature(path, "separate").inputs["mix"]
    mix = mixture(2000)
    proto = tf.make_tensor_proto(mix)
    assert proto.dtype == found.dtype
    restored = tf.make_ndarray(type(proto).FromString(proto.SerializeToString()))
    stems = separated(path, restored, "separate")
    assert snr(expected(model("demucs"), mix), stems) >= 100


@pytest.mark.export
def test_another_length(tmp_path: Path) -> None:
    (path,) = export_model(model("htdemucs"), tmp_path / "m", "saved-model", length=0.1)
    found = read_metadata(path)
    assert (found.segment, found.length, found.training_length) == (800, 800, 800)
    mix = mixture(800)
    assert snr(expected(model("htdemucs"), mix), separated(path, mix)) >= 100


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    def full(*_: object) -> None:
        text = "{{function_node SaveV2}} model/variables/part; No space left on device [Op:SaveV2]"
        raise tf.errors.ResourceExhaustedError(None, None, text)

    monkeypatch.setattr(tf.saved_model, "save", full)
    with pytest.raises(ExportError, match=r"write it: No space left on device\.") as caught:
        export_model(model("demucs"), tmp_path / "m", "saved-model")
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.__cause__ is None  # else the command would blame the memory
    assert not list(tmp_path.iterdir())
