"""Small sound checkpoints of every format, made without PyTorch and diffq."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from demucs_tf.checkpoints.formats.pickle_data import Name
from tests.support import pickles
from tests.support.headers import pack

KLASS = "demucs.demucs.Demucs"
ARGUMENTS: dict[str, Any] = {
    "sources": ["a"],
    "channels": 4,
    "depth": 1,
    "segment": 2.5,
    "dconv_depth": 1,
}
# With weights of every number of axes.
HYBRID: dict[str, Any] = {
    **ARGUMENTS,
    "nfft": 64,
    "dconv_comp": 2,
    "t_heads": 1,
    "t_layers": 1,
}
_BITS = 5


@dataclass(frozen=True)
class Sample:
    """A sound file: its suffix, its bytes and, in an archive, the entry that is changed most."""

    suffix: str
    content: bytes
    focus: str = ""


@cache
def make_samples() -> dict[str, Sample]:
    """Name -> sample, in a fresh process the same bytes every time."""
    import demucs_tf
    from demucs_tf.checkpoints.weights import read_state
    from demucs_tf.layers.base import blank_weights

    with blank_weights():
        model = demucs_tf.DemucsTF(**ARGUMENTS)
        hybrid = demucs_tf.HTDemucsTF(**HYBRID)
    dice = np.random.default_rng(0)
    for variable in [*model.variables, *hybrid.variables]:
        variable.assign(dice.standard_normal(variable.shape).astype(np.float32))
    state = read_state(model)
    hybrid_pack = pack(_metadata("htdemucs.HTDemucs", HYBRID), read_state(hybrid))
    packed = _packed(state)
    keras = _without_times(written(".keras", model.save))
    return {
        "th": Sample(".th", package(KLASS, ARGUMENTS, dict(state)), "archive/data.pkl"),
        "th-diffq": Sample(".th", package(KLASS, ARGUMENTS, packed), "archive/data.pkl"),
        "safetensors": Sample(".safetensors", pack(_metadata("demucs.Demucs", ARGUMENTS), state)),
        "safetensors-hybrid": Sample(".safetensors", hybrid_pack),
        "safetensors-diffq": Sample(".safetensors", _safetensors(packed)),
        "keras": Sample(".keras", keras, "config.json"),
        "keras-weights": Sample(".keras", keras, "model.weights.h5"),
        "yaml": Sample(
            ".yaml",
            b"models: ['955717e8', 'a-b']\nweights:\n- [1., 0.]\n- [0.5, 2.]\nsegment: 44\n",
        ),
    }


def written(suffix: str, write: Callable[[Path], object]) -> bytes:
    """What `write` writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        write(path)
        return path.read_bytes()


def _without_times(content: bytes) -> bytes:
    """The same archive without the times that Keras and zipfile put in."""
    entries = entries_of(content)
    if "metadata.json" in entries:
        entries["metadata.json"] = b'{"keras_version": "3.0.0"}'
    return zipped(entries)


def zipped(entries: dict[str, bytes]) -> bytes:
    """An archive with these entries, without times."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in entries.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return stream.getvalue()


def _metadata(klass: str, arguments: dict[str, Any], **more: str) -> dict[str, str]:
    segment = {"_type": "fraction", "numerator": 5, "denominator": 2}
    kwargs = json.dumps({**arguments, "segment": segment})
    return {"klass": f"demucs.{klass}", "args": "[]", "kwargs": kwargs, **more}


def _packed(state: dict[str, Any]) -> dict[str, Any]:
    """What diffq's UniformQuantizer makes of the weights with more than 26 numbers."""
    from tests.checkpoints.formats.test_diffq_state import pack_bits

    quantized, others = [], []
    for array in state.values():
        if array.size <= 26:
            others.append(array)
            continue
        least, largest = float(array.min()), float(array.max())
        levels = np.rint((array - least) / (largest - least) * (2**_BITS - 1)).astype(int)
        quantized.append((pack_bits(levels, _BITS), (least, largest)))
    options = {"bits": float(_BITS), "min_size": 26.5 * 4 / 2**20, "exclude": ["none*"]}
    meta = {
        "init_kwargs": options,
        "klass": Name("diffq.uniform", "UniformQuantizer"),
        "packed": True,
        "torch_pack": False,
    }
    return {
        "quantized": quantized,
        "float16": [],
        "others": others,
        "meta": meta,
        "__quantized": True,
    }


def package(klass: str, arguments: dict[str, Any], state: dict[str, Any]) -> bytes:
    """A `.th` file."""
    entries = {"byteorder": b"little"}
    parts = {"kwargs": _pickled(arguments, entries), "state": _pickled(state, entries)}
    pickled = pickles.package(klass=pickles.named(*klass.rsplit(".", 1)), **parts)
    return _without_times(written(".th", lambda path: pickles.write(path, pickled, entries)))


_KINDS = {"float32": "FloatStorage", "int64": "LongStorage"}


def _pickled(value: Any, entries: dict[str, bytes]) -> bytes:
    """A nested value as a pickle; its arrays become storages in `entries`."""
    from tests.checkpoints.test_load_hybrid import pickled

    if isinstance(value, np.ndarray):
        key = str(len(entries))
        entries[f"data/{key}"] = np.ascontiguousarray(value).tobytes()
        steps = tuple(int(step) // value.itemsize for step in value.strides)
        source = pickles.storage(key, value.size, _KINDS[str(value.dtype)])
        return pickles.tensor(source, value.shape, steps)
    if isinstance(value, dict):
        return pickles.dict_of(**{key: _pickled(item, entries) for key, item in value.items()})
    if isinstance(value, tuple):
        return pickles.tuple_of(*(_pickled(item, entries) for item in value))
    if isinstance(value, list):
        return pickles.list_of(*(_pickled(item, entries) for item in value))
    if isinstance(value, Name):
        return pickles.named(value.module, value.name)
    return pickled(value)


def _safetensors(state: dict[str, Any]) -> bytes:
    tensors: dict[str, Any] = {}
    structure = _flattened(state, "state", tensors)
    metadata = _metadata("demucs.Demucs", ARGUMENTS, structure=json.dumps(structure))
    return pack(metadata, tensors)


def _flattened(value: Any, path: str, tensors: dict[str, Any]) -> Any:
    if isinstance(value, np.ndarray):
        tensors[path] = value
        return {"_tensor": path}
    if isinstance(value, dict):
        pairs = [[key, _flattened(item, f"{path}.{key}", tensors)] for key, item in value.items()]
        return {"_dict": pairs}
    if isinstance(value, list | tuple):
        items = [_flattened(item, f"{path}.{i}", tensors) for i, item in enumerate(value)]
        return {f"_{type(value).__name__}": items}
    return {"_class": str(value)} if isinstance(value, Name) else value


def entries_of(content: bytes) -> dict[str, bytes]:
    """The entries of a sound archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
