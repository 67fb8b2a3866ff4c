"""Packages, `.th`: pickles by every way to reach code, tensors and storages that do not fit."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import demucs_tf
from demucs_tf.checkpoints.weights import read_state
from tests.checkpoints.hostile.sound import Sound, check_refused
from tests.checkpoints.test_load import write_package
from tests.fuzz.watch import MB
from tests.support.pickles import (
    ONE_STORAGE,
    call,
    dict_of,
    integer,
    list_of,
    named,
    package,
    storage,
    tensor,
    text,
    tuple_of,
    write,
)

# Pickles: every way to reach code

_GLOBALS = """
    os system; os execv; os popen; os remove; posix system; nt system; subprocess Popen;
    subprocess run; builtins eval; builtins exec; builtins compile; builtins open;
    builtins getattr; builtins setattr; builtins __import__; builtins globals; __builtin__ eval;
    __builtin__ apply; importlib import_module; importlib._bootstrap _gcd_import; runpy run_path;
    operator attrgetter; operator methodcaller; operator itemgetter; functools partial;
    functools reduce; copyreg _reconstructor; copyreg __newobj__; copyreg add_extension;
    types FunctionType; types CodeType; pickle loads; marshal loads; ctypes CDLL;
    socket create_connection; webbrowser open; shutil rmtree; pty spawn; code interact; pdb run;
    timeit timeit; cProfile run; bdb Bdb.run; platform popen; sys modules; torch load;
    torch.hub load; torch.jit load; torch.storage _load_from_bytes; torch._utils _rebuild_tensor;
    torch.serialization load; numpy load; numpy.testing._private.utils runstring;
    numpy.f2py compile; demucs.states load_model; demucs.hf load_safetensors_model;
    demucs.demucs torch.hub.load; diffq.base restore_quantized_state; diffq.base pickle.loads;
    diffq.lsq LSQ; omegaconf OmegaConf.load; collections OrderedDict.fromkeys;
    collections namedtuple; fractions Fraction.from_float;
    demucs_tf.checkpoints.assemble read_model;
    keras.models load_model; joblib load; yaml unsafe_load
"""
GLOBALS = [" ".join(name.split()) for name in _GLOBALS.split(";")]


@pytest.mark.parametrize("name", GLOBALS)
def test_a_pickle_that_names_code(tmp_path: Path, sound: Sound, name: str) -> None:
    module, _, last = name.partition(" ")
    ways = {
        "GLOBAL": call(named(module, last), text("x")),
        "STACK_GLOBAL": text(module) + text(last) + b"\x93" + tuple_of(text("x")) + b"R",
        "INST": b"(" + text("x") + f"i{module}\n{last}\n".encode(),
        "OBJ": b"(" + named(module, last) + text("x") + b"o",
        "NEWOBJ": named(module, last) + tuple_of(text("x")) + b"\x81",
        "NEWOBJ_EX": named(module, last) + tuple_of(text("x")) + b"}\x92",
        "BUILD": named(module, last) + dict_of(x=text("x")) + b"b",
        "only named": named(module, last),
    }
    for way, payload in ways.items():
        pickled = package(training_args=dict_of(x=payload))
        path = write(tmp_path / "a.th", pickled)
        check_refused(path, "opcode INST" if way == "INST" else "asks for .*: refused")


# Tensors and storages of a package


def _weight(element: str = "FloatStorage", count: int = 6, data: bytes | None = None) -> Any:
    """A package with one weight of this type."""

    def make(path: Path, _: Sound) -> None:
        state = dict_of(w=tensor(storage("0", count, element), (count,), (1,)))
        kwargs = dict_of(sources=b"]" + text("a") + b"a", channels=integer(4))
        entries = dict(ONE_STORAGE) if data is None else {**ONE_STORAGE, "data/0": data}
        write(path, package(state=state, kwargs=kwargs), entries)

    return make


def _of_type(element: str, dtype: str) -> Any:
    """A sound package but for the type of its first weight."""

    def make(path: Path, sound: Sound) -> None:
        entries, tensors = {}, {}
        for index, (key, array) in enumerate(sound.state.items()):
            kind = "FloatStorage" if index else element
            entries[f"data/{index}"] = array.astype("<f4" if index else dtype).tobytes()
            stride = tuple(int(step) // array.itemsize for step in array.strides)
            tensors[key] = tensor(storage(str(index), array.size, kind), array.shape, stride)
        write_package(path, sound.state, state=dict_of(**tensors))
        with zipfile.ZipFile(path) as archive:
            pickled = archive.read("archive/data.pkl")
        write(path, pickled, entries)

    return make


def _state(**tensors: bytes) -> Any:
    return lambda path, _: write(path, package(state=dict_of(**tensors)))


def _aliased(path: Path, sound: Sound) -> None:
    """Every weight a view of one storage that is as large as the largest, many times over."""
    key = max(sound.state, key=lambda key: sound.state[key].size)
    count = sound.state[key].size
    views = {f"w{i}": tensor(storage("0", count), (count,), (1,)) for i in range(200)}
    write(path, package(state=dict_of(**views)), {"data/0": bytes(4 * count)})


def _forged_sizes(path: Path, sound: Sound) -> None:
    """The central directory claims two gigabytes for a storage."""
    write(path, package())
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02", 0, content.rindex(b"archive/data/0"))
    content[at + 20 : at + 28] = struct.pack("<II", 2**31, 2**31)
    path.write_bytes(content)


def _nested_archive(path: Path, _: Sound) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(50 * MB))
    write(path, inner.getvalue())


def _bomb(path: Path, _: Sound) -> None:
    count = 50 * MB
    state = dict_of(w=tensor(storage("0", count // 4), (count // 4,), (1,)))
    write(path, package(state=state), {"data/0": bytes(count)}, compression=zipfile.ZIP_DEFLATED)


def _bomb_in_the_pickle(path: Path, _: Sound) -> None:
    write(path, bytes(50 * MB), compression=zipfile.ZIP_BZIP2)


def _encrypted(path: Path, sound: Sound) -> None:
    content = bytearray(sound.content[".th"])
    for mark in (b"PK\x01\x02", b"PK\x03\x04"):
        content[content.index(mark) + (8 if mark[2] == 1 else 6)] |= 1
    path.write_bytes(content)


def _many_tensors(path: Path, _: Sound) -> None:
    """Few bytes, many tensors by the memo."""
    one = tensor(storage("0", 6), (6,), (1,)) + b"q\x01"
    write(path, package(state=dict_of(w=one, **{f"w{i}": b"h\x01" for i in range(20_000)})))


def _with(*more: bytes, version: int = 2, requires: bytes = b"\x89", hooks: bytes = b"N") -> Any:
    """A weight whose call has more than its numbers."""
    first = storage("0", 6) if version == 2 else storage("0", 24, "UntypedStorage")
    view = (first, integer(0), tuple_of(integer(6)), tuple_of(integer(1)), requires, hooks)
    return _state(w=call(named("torch._utils", f"_rebuild_tensor_v{version}"), *view, *more))


def _quantised(kind: bytes, **parts: bytes) -> Any:
    meta = dict_of(klass=kind, init_kwargs=b"}", packed=b"\x88", torch_pack=b"\x89")
    whole = {"quantized": b"]", "float16": b"]", "others": b"]", "meta": meta, **parts}
    return _state(**whole, __quantized=b"\x88")


def _one_hash(path: Path, _: Sound) -> None:
    """Numbers with the same hash make a dictionary of n take n**2 steps."""
    keys = b"".join(integer(k * (2**61 - 1)) + b"N" for k in range(1, 100_000))
    write(path, package(training_args=b"}(" + keys + b"u"))


def _long_text_many_times(path: Path, sound: Sound) -> None:
    """A text that is there once; the list of it would be 9 GB if it were written out."""
    first = text("a" * MB) + b"q\x01"
    sources = list_of(first, *[b"h\x01"] * 9000)
    write_package(path, sound.state, kwargs=dict_of(sources=sources, channels=text("four")))


_W = tensor(storage("0", 6), (6,), (1,))
_FLOAT = named("torch", "float32")
_HOOKS = dict_of(hook=text("x"))
_DIFF = named("diffq.diffq", "DiffQuantizer")
TH: dict[str, tuple[Callable[[Path, Sound], Any], str]] = {
    "integers as weights": (_of_type("IntStorage", "i4"), "expected floating point, found int32"),
    "booleans as weights": (_of_type("BoolStorage", "?"), "expected floating point, found bool"),
    "complex numbers": (_weight("ComplexFloatStorage", 3), "asks for torch.ComplexFloatStorage"),
    "quantised integers": (_weight("QInt8Storage", 24), "asks for torch.QInt8Storage"),
    "NaN": (_weight(data=np.full(6, np.nan, "<f4").tobytes()), "6 values that are NaN or Inf"),
    "infinity": (_weight(data=np.full(6, -np.inf, "<f4").tobytes()), "6 values that are NaN"),
    "a negative size": (_state(w=tensor(storage("0", 6), (-6,), (1,))), "shape, stride or offset"),
    "a huge size": (_state(w=tensor(storage("0", 6), (2**62,), (1,))), "shape, stride or offset"),
    "a size too large": (_state(w=tensor(storage("0", 6), (2**40,), (1,))), "does not fit in its"),
    "a negative stride": (
        _state(w=tensor(storage("0", 6), (6,), (-1,), 5)),
        "shape, stride or offset",
    ),
    "a stride of zero": (_state(w=tensor(storage("0", 6), (2**40,), (0,))), "does not fit in its"),
    "a negative offset": (_state(w=tensor(storage("0", 6), (1,), (1,), -1)), "stride or offset"),
    "an offset too large": (_state(w=tensor(storage("0", 6), (6,), (1,), 1)), "does not fit in"),
    "a flag as a size": (
        _state(
            w=call(
                named("torch._utils", "_rebuild_tensor_v2"),
                storage("0", 6),
                b"\x88",
                tuple_of(b"\x88"),
                tuple_of(b"\x88"),
                b"\x89",
                b"N",
            )
        ),
        "shape, stride or offset",
    ),
    "a storage with the count of another type": (
        _state(w=tensor(storage("0", 6, "DoubleStorage"), (3,), (1,))),
        "should hold 6 elements of 8 bytes",
    ),
    "negative numbers by metadata": (
        _with(dict_of(neg=b"\x88")),
        "a tensor in its pickle has meta",
    ),
    "conjugate numbers by metadata": (_with(dict_of(conj=b"\x88")), "in its pickle has metadata"),
    "metadata that are a list": (_with(list_of(text("neg"))), "in its pickle has metadata"),
    "negative numbers, untyped": (_with(_FLOAT, dict_of(neg=b"\x88"), version=3), "has metadata"),
    "hooks of a tensor": (_with(hooks=_HOOKS), "a tensor in its pickle has hooks"),
    "hooks of a tensor, untyped": (_with(_FLOAT, version=3, hooks=_HOOKS), "has hooks"),
    "hooks of a parameter": (
        _state(
            w=call(
                named("torch._utils", "_rebuild_parameter"),
                _W,
                b"\x88",
                _HOOKS,
            )
        ),
        "a tensor in its pickle has hooks",
    ),
    "more arguments of a tensor": (_with(b"N", b"N"), "damaged"),
    "a weight twice": (
        _state(w=b"".join([_W, text("w"), _W])),
        "a dictionary in its pickle has w twice",
    ),
    "the state twice": (
        lambda path, _: write(path, package()[:-2] + text("state") + b"}u."),
        "a dictionary in its pickle has state twice",
    ),
    "a number twice": (
        lambda path, _: write(path, package(training_args=b"}(" + b"K\x01N\x88Nu")),
        "has True twice",
    ),
    "many views of one storage": (_aliased, r"tensors add up to \d+ bytes, more than"),
    "one tensor many times": (_many_tensors, "w10001, w10002.* and 19971 more"),
    "keys of one hash": (_one_hash, "a dictionary in its pickle has the key"),
    "a long text many times": (_long_text_many_times, "have too many items"),
    "forged sizes": (_forged_sizes, r"is compressed|claim \d+ bytes|damaged"),
    "an archive as the pickle": (_nested_archive, "opcode|damaged"),
    "a compressed bomb": (_bomb, "is compressed"),
    "a compressed bomb as the pickle": (_bomb_in_the_pickle, "is compressed"),
    "an encrypted entry": (_encrypted, "damaged"),
    "a weight in a list": (_state(w=b"]"), r"wanted a tensor as state\[w\], found a list"),
    "a class as a weight": (_state(w=_DIFF), r"wanted a tensor as state\[w\], found a Name"),
    "an empty state": (lambda path, s: write_package(path, s.state, state=b"}"), "missing weights"),
    "arguments of a huge model": (
        lambda path, s: write_package(
            path, s.state, kwargs=dict_of(sources=b"]" + text("a") + b"a", channels=integer(8192))
        ),
        "describe a model of more than",
    ),
    "a packed state by a function": (_quantised(named("torch", "Size")), "hold a Function"),
    "a packed state by a type": (
        _quantised(named("torch", "float16")),
        r"packed by torch\.float16",
    ),
    "a packed state by the class of a model": (
        _quantised(named("demucs.demucs", "Demucs")),
        r"packed by demucs\.demucs\.Demucs",
    ),
    "a packed state without its lists": (_quantised(_DIFF, others=b"N"), "lack the list `others`"),
    "a packed state of nothing": (
        lambda path, s: write_package(
            path,
            s.state,
            state=dict_of(
                __quantized=b"\x88",
                quantized=b"]",
                float16=b"]",
                others=b"]",
                meta=dict_of(klass=_DIFF, init_kwargs=b"}"),
            ),
        ),
        "0 of them are others, and the model has",
    ),
    "a packed state that is not marked by true": (
        _state(__quantized=integer(1)),
        r"wanted a tensor as state\[__quantized\]",
    ),
}


@pytest.mark.parametrize("name", TH)
def test_a_hostile_package(tmp_path: Path, sound: Sound, name: str) -> None:
    make, match = TH[name]
    make(tmp_path / "a.th", sound)
    check_refused(tmp_path / "a.th", match)


def test_weights_that_share_a_storage_are_read(tmp_path: Path, sound: Sound) -> None:
    """The reference copies them one by one, so views of one buffer are as good as any."""
    flat = np.concatenate([array.reshape(-1) for array in sound.state.values()])
    views, start = {}, 0
    for key, array in sound.state.items():
        strides = tuple(int(step) // array.itemsize for step in array.strides)
        views[key] = tensor(storage("0", flat.size), array.shape, strides, start)
        start += array.size
    path = write_package(tmp_path / "a.th", sound.state, state=dict_of(**views))
    with zipfile.ZipFile(path) as archive:
        pickled = archive.read("archive/data.pkl")
    write(path, pickled, {"data/0": flat.tobytes()})
    loaded = demucs_tf.load_model(path)
    for key, array in read_state(loaded).items():
        np.testing.assert_array_equal(array, sound.state[key], strict=True)
