"""`.safetensors`: classes that are none of ours, metadata, structures and headers."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.checkpoints.hostile.sound import Sound, check_refused
from tests.checkpoints.test_load import SMALL
from tests.fuzz.watch import MB
from tests.support.headers import join, pack

CLASS_NAMES = [
    "os.system",
    "posix.system",
    "builtins.eval",
    "builtins.exec",
    "importlib.import_module",
    "subprocess.Popen",
    "torch.load",
    "torch.hub.load",
    "demucs.states.load_model",
    "demucs.hf.load_safetensors_model",
    "demucs.hdemucs.HDemucs.__init__",
    "demucs.hdemucs.HDemucs.__class__",
    "demucs.hdemucs.nn.Module",
    "demucs.hdemucs",
    "HDemucs",
    ".hdemucs.HDemucs",
    "..hdemucs.HDemucs",
    "demucs..hdemucs.HDemucs",
    "demucs.hdemucs.HDemucs ",
    " demucs.hdemucs.HDemucs",
    "demucs.hdemucs.HDemucs\n",
    "demucs.hdemucs.HDemucs\x00",
    "demucs/hdemucs/HDemucs",
    "demucs.hdemucs.hdemucs",
    "Demucs.hdemucs.HDemucs",
    "demucs.hdemucs.HDemuc\u0455",  # a Cyrillic letter
    "demucs.hdemucs.\uff28Demucs",  # a fullwidth letter, which Python's parser takes for an H
    "demucs.hdemucs.HDe\u200bmucs",
    "\u202edemucs.hdemucs.HDemucs",
    "\x1b[2Jdemucs.hdemucs.HDemucs",
    "demucs_tf.models.hdemucs.HDemucsTF",
    "diffq.diffq.DiffQuantizer",
    "",
    ".",
    "x" * 10_000,
]


def _metadata(sound: Sound, **changes: Any) -> dict[str, Any]:
    texts = {**sound.header["__metadata__"], **changes}
    return {key: value for key, value in texts.items() if value is not None}


def _with(**changes: Any) -> Any:
    """The sound file with other metadata; None leaves an entry out."""
    return lambda sound: join(
        {**sound.header, "__metadata__": _metadata(sound, **changes)}, sound.data
    )


def _kwargs(**changes: Any) -> Any:
    arguments = {"sources": ["a", "b"], **SMALL, **changes}
    return _with(kwargs=json.dumps(arguments))


def _structure(tree: Any) -> Any:
    return _with(structure=tree if isinstance(tree, str) else json.dumps(tree))


def _node(node: Any) -> Any:
    """A packed state whose `meta` is this node, and all tensors in `others`."""

    def make(sound: Sound) -> bytes:
        keys = [key for key in sound.header if key != "__metadata__"]
        others = {"_list": [{"_tensor": key} for key in keys]}
        tree = {"_dict": [["__quantized", True], ["others", others], ["meta", node]]}
        content: bytes = _structure(tree)(sound)
        return content

    return make


def _tensors(**changes: Any) -> Any:
    def make(sound: Sound) -> bytes:
        first = next(key for key in sound.header if key != "__metadata__")
        header = {**sound.header, first: {**sound.header[first], **changes}}
        return join(header, sound.data)

    return make


def _state_of(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    return lambda sound: pack(_metadata(sound), change(dict(sound.state)))


def _replaced(change: Callable[[np.ndarray], Any]) -> Any:
    def make(state: dict[str, Any]) -> dict[str, Any]:
        key = next(iter(state))
        return {**state, key: change(state[key])}

    return _state_of(make)


def _deep(levels: int) -> str:
    return "[" * levels + "]" * levels


_PAIR = [["a", None], ["a", None]]
ST: dict[str, tuple[Callable[[Sound], bytes], str]] = {
    "no metadata": (
        lambda s: join({k: v for k, v in s.header.items() if k != "__metadata__"}, s.data),
        "its metadata lack klass, args, kwargs",
    ),
    "metadata that are a list": (
        lambda s: join({**s.header, "__metadata__": []}, s.data),
        "its metadata lack klass",
    ),
    "a class that is no text": (_with(klass=["os.system"]), "wanted text as the metadata"),
    "arguments that are no JSON": (_with(args="__import__('os')"), "its args is no JSON"),
    "args as an object": (_with(args="{}"), "its args as a JSON list"),
    "kwargs as a list": (_with(kwargs="[]"), "its kwargs as a JSON object"),
    "kwargs too deep": (_with(kwargs='{"a":' + _deep(50) + "}"), "nested too deeply"),
    "kwargs far too deep": (_with(kwargs=_deep(200_000)), "nested too deeply|no JSON"),
    "kwargs too long": (_with(kwargs=json.dumps({"a": "x" * 2**20})), "more than 1048576"),
    "kwargs too many": (_with(kwargs=json.dumps({"a": [0] * 20_000})), "too many items"),
    "a key twice": (_with(kwargs='{"channels": 4, "channels": 8}'), "a key is there twice"),
    "NaN": (_kwargs(growth=float("nan")), "NaN is no number"),
    "infinity": (_kwargs(growth=float("-inf")), "-Infinity is no number"),
    "a float too large": (_with(kwargs='{"growth": 1e999}'), "a number is too large"),
    "an integer too large": (_with(kwargs='{"channels": 1%s}' % ("0" * 5000)), "too large"),
    "a fraction by zero": (
        _kwargs(segment={"_type": "fraction", "numerator": 1, "denominator": 0}),
        "fraction",
    ),
    "a fraction of text": (
        _kwargs(segment={"_type": "fraction", "numerator": "1", "denominator": 2}),
        "fraction",
    ),
    "half a fraction": (_kwargs(segment={"_type": "fraction", "numerator": 1}), "fraction"),
    "an unknown type": (_kwargs(segment={"_type": "os.system"}), "segment must be a positive"),
    "too many channels": (_kwargs(channels=8192), "describe a model of more than"),
    "too many layers": (_kwargs(depth=2**31), "depth must be at most 16, got 2147483648"),
    "a deep LSTM": (_kwargs(lstm_layers=16), "describe a model of more than"),
    "a source that leads out": (
        _kwargs(sources=["../x", "b"]),
        "must be names of stems, got '../x",
    ),
    "a source for a terminal": (_kwargs(sources=["a", "\x1b[2J\nx"]), "must be names of stems"),
    "a source without a name": (_kwargs(sources=["", "b"]), "must be names of stems, got ''"),
    "a source of no text": (_kwargs(sources=["\ud800", "b"]), "must be names of stems|no JSON"),
    "a source that is a page": (_kwargs(sources=["a" * 1000, "b"]), "must be names of stems"),
    "a source that is a book": (_kwargs(sources=["a" * 10**6, "b"]), "many items|more than"),
    "a rate for bats and beyond": (_kwargs(samplerate=10**18), "samplerate must be at most"),
    "a segment of a life": (_kwargs(segment=1e300), "more than can be worked on"),
    "a chunk of days": (_kwargs(segment=250, samplerate=10**6), "more than can be worked on"),
    "no sources": (_kwargs(sources=None), "sources must be a list of names"),
    "an object as an argument": (_kwargs(channels={"a": 1}), "channels must be a whole number"),
    "too many arguments": (_with(args=json.dumps([1] * 90), kwargs="{}"), "do not fit: too many"),
    "an argument twice": (_with(args='[["a"]]'), "do not fit: multiple values"),
    "a structure that is no JSON": (_structure("{"), "its structure is no JSON"),
    "a structure too deep": (_structure(_deep(200_000)), "nested too deeply|no JSON"),
    "a structure of an unknown kind": (_structure({"_eval": "1"}), "wanted one of _tensor, _dict"),
    "a structure of two kinds": (_structure({"_list": [], "_class": "a.b"}), "keys _list, _class"),
    "a structure that is a list": (_structure([{"_tensor": "a"}]), "its structure has a list"),
    "a structure without the tensors": (
        _structure({"_dict": []}),
        r"leaves out \d+ of its tensors",
    ),
    "a tensor that is not there": (_structure({"_tensor": "none"}), "asks for the tensor none"),
    "a tensor named by a list": (_structure({"_tensor": ["a"]}), "asks for the tensor a list"),
    "a tensor twice": (
        lambda s: _structure(
            {"_list": [{"_tensor": next(k for k in s.header if k != "__metadata__")}] * 2}
        )(s),
        "was used before",
    ),
    "a dictionary with a key twice": (_structure({"_dict": _PAIR}), "its structure has a twice"),
    "a dictionary with numbers as keys": (_structure({"_dict": [[1, 2]]}), "list of names"),
    "a dictionary that is an object": (_structure({"_dict": {"a": 1}}), "list of names"),
    "nested lists": (
        _structure(json.loads('{"_list":[' * 12 + "1" + "]}" * 12)),
        "nested too deeply",
    ),
    "a state that is a list": (
        lambda s: _structure({"_list": [{"_tensor": k} for k in s.header if k != "__metadata__"]})(
            s
        ),
        "wanted a dictionary as its state, found list",
    ),
    "a packed state without meta": (_node(None), "lack `meta`"),
    "an empty header": (lambda s: join(b""), "header is no JSON"),
    "a header that is no JSON": (lambda s: join(b"\x80\x04]."), "header is no JSON"),
    "a header that is a list": (lambda s: join([]), "header is no JSON object"),
    "a header too deep": (lambda s: join(b"[" * 200_000), "nested too deeply|no JSON"),
    "a header longer than the file": (
        lambda s: struct.pack("<Q", 2**40) + b"{}",
        "cut off or something else",
    ),
    "the longest header": (lambda s: struct.pack("<Q", 2**64 - 1) + b"{}", "cut off or something"),
    "a long header of blanks": (lambda s: join(b" " * (17 * MB)), "its header has 17825792 bytes"),
    "a tensor twice in the header": (
        lambda s: join(
            json.dumps(s.header).encode()[:-1] + b', "__metadata__": {}}',
            s.data,
        ),
        "a key is there twice",
    ),
    "a negative size": (_tensors(shape=[-1]), "damaged"),
    "a huge size": (_tensors(shape=[2**63, 2**63]), "damaged"),
    "a size beyond its bytes": (_tensors(shape=[2**40]), "damaged"),
    "a size that is a flag": (_tensors(shape=[True]), "damaged"),
    "offsets that overlap": (_tensors(data_offsets=[0, 0]), "damaged"),
    "offsets backwards": (_tensors(data_offsets=[8, 4]), "damaged"),
    "offsets beyond the file": (_tensors(data_offsets=[0, 2**50]), "damaged"),
    "negative offsets": (_tensors(data_offsets=[-4, 0]), "damaged"),
    "bytes behind the tensors": (lambda s: join(s.header, s.data + b"PK"), "damaged"),
    "bytes missing at the end": (lambda s: join(s.header, s.data[:-1]), "damaged"),
    "an unknown type of tensor": (_tensors(dtype="PICKLE"), "has the type PICKLE"),
    "a type that is a list": (_tensors(dtype=["F32"]), "has the type"),
    "complex weights": (_tensors(dtype="C64"), "has the type C64"),
    "weights of eight bits": (_tensors(dtype="F8_E4M3"), "has the type F8_E4M3"),
    "a tensor that is no object": (
        lambda s: join({**s.header, "x": "F32"}, s.data),
        "tensor x has the type",
    ),
    "integers as weights": (
        _replaced(lambda a: ("I32", a.view(np.int32))),
        "expected floating point, found int32",
    ),
    "booleans as weights": (
        _replaced(lambda a: ("BOOL", np.ones(a.shape, bool))),
        "expected floating point, found bool",
    ),
    "NaN as weights": (_replaced(lambda a: np.full_like(a, np.nan)), "values that are NaN or Inf"),
    "infinite weights": (_replaced(lambda a: np.full_like(a, np.inf)), "values that are NaN"),
    "weights too large for the model": (
        _replaced(lambda a: np.full(a.shape, 1e300)),
        "weights with numbers too large for float32: encoder",
    ),
    "infinite half precision": (
        _replaced(lambda a: np.full(a.shape, np.inf, np.float16)),
        "values that are NaN or Inf",
    ),
    "NaN in bfloat16": (
        _replaced(lambda a: ("BF16", np.full(a.shape, 0x7FC0, np.uint16))),
        "values that are NaN or Inf",
    ),
    "weights of another shape": (_replaced(lambda a: a[..., :1]), "weights of another shape"),
    "one weight less": (
        _state_of(lambda state: dict(list(state.items())[1:])),
        "missing weights: encoder",
    ),
    "one weight more": (
        _state_of(lambda state: {**state, "\x1b[2Jx": np.zeros(1, np.float32)}),
        r"no place for: \\x1b\[2Jx",
    ),
    "an archive": (lambda s: s.content[".th"], "cut off or something else"),
}


@pytest.mark.parametrize("name", CLASS_NAMES, ids=ascii)
def test_a_class_that_is_none_of_ours(tmp_path: Path, sound: Sound, name: str) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(_with(klass=name)(sound))
    check_refused(path, "wanted one of the classes demucs.demucs.Demucs, ")
    path.write_bytes(_node({"_dict": [["klass", {"_class": name}]]})(sound))
    if name in ("diffq.diffq.DiffQuantizer",):
        check_refused(path, "packed weights lack the list|options that")
    else:
        check_refused(path, "structure asks for .*: refused, and nothing was imported")


@pytest.mark.parametrize("name", [["os", "system"], 3, None, {"a": 1}, True])
def test_a_class_of_a_structure_that_is_no_text(tmp_path: Path, sound: Sound, name: Any) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(_node({"_class": name})(sound))
    check_refused(path, "structure asks for .*: refused, and nothing was imported")


@pytest.mark.parametrize("name", ST)
def test_a_hostile_safetensors_file(tmp_path: Path, sound: Sound, name: str) -> None:
    make, match = ST[name]
    path = tmp_path / "a.safetensors"
    path.write_bytes(make(sound))
    check_refused(path, match)
