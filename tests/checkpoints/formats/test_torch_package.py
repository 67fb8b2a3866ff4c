"""Packages of the reference: what is read, what is refused, and that nothing runs."""

from __future__ import annotations

import pickle
import random
import struct
import sys
import warnings
import zipfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demucs_tf.checkpoints.formats import pickle_data
from demucs_tf.checkpoints.formats.torch_package import CLASSES, read_package
from demucs_tf.errors import CheckpointError, ModelNotFoundError
from tests.support.pickles import (
    call,
    dict_of,
    integer,
    named,
    package,
    refused,
    storage,
    tensor,
    text,
    tuple_of,
    weights,
    write,
)

# What is read


def test_a_sound_package_is_read(tmp_path: Path) -> None:
    found = read_package(write(tmp_path / "a.th", package()))
    assert found.klass == "demucs.demucs.Demucs"
    assert found.args == ()
    assert found.kwargs == {"sources": ["a", "b"], "channels": 4}
    assert list(weights(found)) == ["weight"]
    assert weights(found)["weight"].dtype == np.float32
    np.testing.assert_array_equal(weights(found)["weight"], [[0, 1, 2], [3, 4, 5]], strict=False)


@pytest.mark.parametrize("klass", CLASSES)
def test_the_four_classes_are_named_and_not_imported(tmp_path: Path, klass: str) -> None:
    module, _, name = klass.rpartition(".")
    before = set(sys.modules)
    found = read_package(write(tmp_path / "a.th", package(klass=named(module, name))))
    assert found.klass == klass
    assert not {m for m in set(sys.modules) - before if m.startswith(("demucs.", "torch"))}


@pytest.mark.parametrize(
    ("kind", "dtype", "wanted"),
    [
        ("DoubleStorage", "f8", "f8"),
        ("FloatStorage", "f4", "f4"),
        ("HalfStorage", "f2", "f4"),
        ("LongStorage", "i8", "i8"),
        ("IntStorage", "i4", "i4"),
        ("ShortStorage", "i2", "i2"),
        ("CharStorage", "i1", "i1"),
        ("ByteStorage", "u1", "u1"),
        ("BoolStorage", "?", "?"),
    ],
)
@pytest.mark.parametrize("order", ["little", "big"])
def test_element_types(tmp_path: Path, kind: str, dtype: str, wanted: str, order: str) -> None:
    values = np.array([0, 1, 1, 0, 1, 1]).astype(dtype)
    if dtype in ("f2", "f4", "f8"):
        values = np.array([0.1, -0.2, 65504, 6e-8, -0.0, 1]).astype(dtype)
    stored = values.astype(values.dtype.newbyteorder("<" if order == "little" else ">"))
    state = dict_of(w=tensor(storage("0", 6, kind), (6,), (1,)))
    path = write(
        tmp_path / "a.th",
        package(state=state),
        {"data/0": stored.tobytes(), "byteorder": order.encode()},
    )
    found = weights(read_package(path))["w"]
    assert found.dtype == np.dtype(wanted)
    assert found.dtype.isnative
    assert found.tobytes() == values.astype(wanted).tobytes()


@pytest.mark.parametrize(("order", "wanted"), [("little", "f2"), ("big", "f4")])
def test_half_precision_is_kept_for_who_copies_it(tmp_path: Path, order: str, wanted: str) -> None:
    values = np.array([[0.1, -0.2, 65504], [6e-8, -0.0, 1]], "f2")
    stored = values.astype(values.dtype.newbyteorder("<" if order == "little" else ">"))
    content = {"data/0": stored.tobytes(), "byteorder": order.encode()}
    state = dict_of(w=tensor(storage("0", 6, "HalfStorage"), (3, 2), (1, 3)))
    path = write(tmp_path / "a.th", package(state=state), content)
    found = weights(read_package(path, keep_half=True))["w"]
    np.testing.assert_array_equal(found, values.T.astype(wanted), strict=True)


@pytest.mark.parametrize("keep_half", [False, True])
@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf])
def test_half_precision_that_is_not_finite(tmp_path: Path, bad: float, keep_half: bool) -> None:
    values = np.array([65504, bad, 6e-8, bad, -65504, 0], "f2")
    state = dict_of(w=tensor(storage("0", 6, "HalfStorage"), (3, 2), (1, 3)))
    path = write(tmp_path / "a.th", package(state=state), {"data/0": values.tobytes()})
    with pytest.raises(CheckpointError, match="the weight w has 2 values that are NaN or Inf"):
        read_package(path, keep_half=keep_half)


def test_bfloat16_is_widened_exactly(tmp_path: Path) -> None:
    values = np.array([[1.0, -2.5, 3.140625], [0.0, 1e30, -1.5]], np.float32)
    values = (values.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    bits = (values.view(np.uint32) >> 16).astype("<u2")
    state = dict_of(w=tensor(storage("0", 6, "BFloat16Storage"), (3, 2), (1, 3)))
    path = write(tmp_path / "a.th", package(state=state), {"data/0": bits.tobytes()})
    found = weights(read_package(path))["w"]
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, values.T, strict=True)


@pytest.mark.parametrize(
    ("shape", "stride", "offset", "wanted"),
    [
        ((3, 2), (1, 3), 0, [[0, 3], [1, 4], [2, 5]]),
        ((2,), (2,), 1, [1, 3]),
        ((), (), 5, 5),
        ((0, 3), (3, 1), 0, np.zeros((0, 3))),
        ((6,), (1,), 0, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_views(
    tmp_path: Path, shape: tuple[int, ...], stride: tuple[int, ...], offset: int, wanted: Any
) -> None:
    state = dict_of(w=tensor(storage("0", 6), shape, stride, offset))
    found = weights(read_package(write(tmp_path / "a.th", package(state=state))))["w"]
    assert found.flags.c_contiguous
    assert found.shape == np.shape(wanted)
    np.testing.assert_array_equal(found, wanted)


def test_an_untyped_storage_and_a_parameter(tmp_path: Path) -> None:
    untyped = call(
        named("torch._utils", "_rebuild_tensor_v3"),
        storage("0", 24, "UntypedStorage"),
        integer(0),
        tuple_of(integer(6)),
        tuple_of(integer(1)),
        b"\x89",
        call(named("collections", "OrderedDict")),
        named("torch", "float32"),
    )
    parameter = call(
        named("torch._utils", "_rebuild_parameter"),
        tensor(storage("0", 6), (6,), (1,)),
        b"\x88",
        call(named("collections", "OrderedDict")),
    )
    state = dict_of(a=untyped, b=parameter)
    found = weights(read_package(write(tmp_path / "a.th", package(state=state))))
    np.testing.assert_array_equal(found["a"], np.arange(6, dtype=np.float32), strict=True)
    np.testing.assert_array_equal(found["b"], found["a"], strict=True)


def test_a_fraction_and_numpy_scalars(tmp_path: Path) -> None:
    dtype = call(named("numpy", "dtype"), text("f8"), b"\x89", b"\x88")
    dtype += tuple_of(integer(3), text("<"), b"N", b"N", b"N", integer(-1)) + b"b"
    data = call(
        named("_codecs", "encode"), text(struct.pack("<d", 2.5).decode("latin1")), text("latin1")
    )
    kwargs = dict_of(
        segment=call(named("fractions", "Fraction"), integer(39), integer(5)),
        old=call(named("fractions", "Fraction"), text("39/5")),
        rescale=call(named("numpy.core.multiarray", "scalar"), dtype, data),
        size=call(named("torch", "Size"), tuple_of(integer(1), integer(2))),
    )
    found = read_package(write(tmp_path / "a.th", package(kwargs=kwargs))).kwargs
    assert found == {
        "segment": Fraction(39, 5),
        "old": Fraction(39, 5),
        "rescale": 2.5,
        "size": (1, 2),
    }


def test_pickle_protocols_2_to_5_of_plain_data_are_read(tmp_path: Path) -> None:
    for protocol in (2, 3, 4, 5):
        plain = {"a": [1, 2.5, None, True, "é" * 300], "b": (1, (2, 3), {}), "c": 2**70}
        data = pickle.dumps(plain, protocol)
        assert pickle_data.read_pickle(data, {}, lambda _: None, "nothing") == plain


# Real packages, written by the reference itself


@pytest.mark.live
@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize("protocol", [2, 4])
def test_real_packages_are_read_bitwise(tmp_path: Path, half: bool, protocol: int) -> None:
    import torch
    from demucs import states
    from demucs.demucs import Demucs
    from demucs.hdemucs import HDemucs
    from demucs.htdemucs import HTDemucs
    from omegaconf import OmegaConf

    torch.manual_seed(7)
    models = [
        Demucs(["a", "b"], channels=4, depth=3, lstm_layers=1, segment=Fraction(39, 5)),
        Demucs(["a"], 1, 4, depth=2, dconv_mode=0, gelu=False, lstm_layers=2, normalize=False),
        HDemucs(["a", "b"], channels=4, depth=6, cac=False),
        HTDemucs(["a", "b"], channels=8, bottom_channels=16, t_layers=2),
    ]
    for model in models:
        saved = states.serialize_model(model, OmegaConf.create({"seed": 3, "x": [1]}), half=half)
        path = tmp_path / "model.th"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.save(saved, path, pickle_protocol=protocol)
        found = read_package(path)
        assert found.klass == f"{type(model).__module__}.{type(model).__name__}"
        assert (found.args, found.kwargs) == model._init_args_kwargs
        assert weights(found).keys() == saved["state"].keys()
        for key, wanted in saved["state"].items():
            wide = wanted.float() if wanted.dtype == torch.half else wanted
            assert weights(found)[key].dtype == wide.numpy().dtype, key
            assert weights(found)[key].shape == tuple(wide.shape), key
            assert weights(found)[key].tobytes() == wide.numpy().tobytes(), key


@pytest.mark.live
def test_real_views_ordered_states_and_other_types(tmp_path: Path) -> None:
    import torch

    base = torch.arange(24.0).reshape(2, 3, 4)
    linear = torch.nn.Linear(3, 2)
    state = linear.state_dict()  # an OrderedDict with `_metadata`
    state["t"] = base.permute(2, 0, 1)
    state["slice"] = base[1, :, 1::2]
    state["double"] = base.double()
    state["bf"] = base.bfloat16()
    state["steps"] = torch.tensor(5)
    state["parameter"] = linear.bias
    torch.save({"klass": None, "args": (), "kwargs": {}, "state": state}, tmp_path / "raw.th")
    # `klass` must be a class; put one in by rewriting the pickle's None.
    with zipfile.ZipFile(tmp_path / "raw.th") as archive:
        names = archive.namelist()
        content = {name.partition("/")[2]: archive.read(name) for name in names}
    pickled = content.pop("data.pkl").replace(b"N", named("demucs.demucs", "Demucs"), 1)
    found = weights(read_package(write(tmp_path / "a.th", pickled, content)))
    for key, value in state.items():
        wanted = value.detach().float() if key == "bf" else value.detach()
        assert found[key].tobytes() == wanted.contiguous().numpy().tobytes(), key
        assert found[key].shape == tuple(wanted.shape), key


@pytest.mark.live
def test_a_package_in_the_format_before_zip_says_how_to_convert(tmp_path: Path) -> None:
    import torch

    path = tmp_path / "old.th"
    torch.save({"state": torch.ones(2)}, path, _use_new_zipfile_serialization=False)
    refused(path, r"bare pickle.*load it with a recent PyTorch and `torch.save` it again")


# Files that are no package


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="no such file"):
        read_package(tmp_path / "none.th")


def test_a_folder(tmp_path: Path) -> None:
    refused(tmp_path, "can't be read")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "the file is empty"),
        (b"PK", "starts with"),
        (b"hello, this is no checkpoint", "found a file that starts with b'hello, t'"),
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "bare pickle"),
        (b"PK\x03\x04" + bytes(200), "cut off or damaged"),
    ],
)
def test_other_files(tmp_path: Path, content: bytes, match: str) -> None:
    path = tmp_path / "a.th"
    path.write_bytes(content)
    refused(path, match)


def test_every_truncation_is_an_error(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.th", package()).read_bytes()
    for length in range(len(whole)):
        path = tmp_path / "cut.th"
        path.write_bytes(whole[:length])
        refused(path, ".")


def test_every_damaged_byte_is_an_error_or_the_same_package(tmp_path: Path) -> None:
    """Nothing but CheckpointError escapes, and the checksums keep wrong weights out."""
    path = write(tmp_path / "a.th", package())
    whole = path.read_bytes()
    sound = read_package(path)
    dice = random.Random(5)
    errors = 0
    for position in range(len(whole)):
        path.write_bytes(
            whole[:position]
            + bytes([whole[position] ^ dice.randrange(1, 256)])
            + whole[position + 1 :]
        )
        try:
            found = read_package(path)
        except CheckpointError:
            errors += 1
        else:
            assert (found.klass, found.kwargs) == (sound.klass, sound.kwargs)
            np.testing.assert_array_equal(weights(found)["weight"], weights(sound)["weight"])
    assert errors > len(whole) // 3


def test_random_pickles_end_in_one_kind_of_error(tmp_path: Path) -> None:
    dice = random.Random(6)
    sound = bytearray(package())
    for _ in range(1500):
        mutated = bytearray(sound)
        for _ in range(dice.randrange(1, 6)):
            mutated[dice.randrange(len(mutated))] = dice.randrange(256)
        path = write(tmp_path / "a.th", bytes(mutated))
        try:
            read_package(path)
        except CheckpointError:
            continue


def test_a_zip_without_a_pickle(tmp_path: Path) -> None:
    path = tmp_path / "a.th"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "hello")
    refused(path, r"wanted one data\.pkl in the archive, found 0")


def test_something_else_than_a_package(tmp_path: Path) -> None:
    refused(write(tmp_path / "a.th", b"\x80\x02]."), "found a list")
    state_dict = b"\x80\x02" + dict_of(weight=tensor(storage("0", 6), (6,), (1,))) + b"."
    message = refused(write(tmp_path / "b.th", state_dict), "found weight")
    assert "klass, args, kwargs, state" in message


def test_an_unknown_class_is_named_with_those_allowed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.th", package(klass=named("my.models", "Demucs")))
    message = refused(path, r"my\.models\.Demucs")
    assert all(klass in message for klass in CLASSES)
    path = write(tmp_path / "a.th", package(klass=named("torch", "FloatStorage")))
    refused(path, r"wanted one of the classes .* found torch\.FloatStorage")
    refused(write(tmp_path / "a.th", package(klass=text("x"))), "found str")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"args": b"]"}, "args as a tuple"),
        ({"kwargs": b")"}, "kwargs as a dictionary"),
        ({"kwargs": dict_of(f=named("torch", "float16"))}, "kwargs hold a Name"),
        ({"args": tuple_of(storage("0", 6))}, "args hold a Storage"),
        ({"kwargs": b"}" + integer(1) + integer(2) + b"s"}, "wanted text as the names in kwargs"),
        ({"state": b"]"}, "wanted a dictionary as its state"),
        ({"state": dict_of(a=integer(3))}, r"state\[a\], found a int"),
        ({"state": b"}" + integer(1) + integer(2) + b"s"}, r"wanted a tensor as state\["),
        ({"klass": b"N"}, "found NoneType"),
        (
            {"args": tuple_of(call(named("fractions", "Fraction"), integer(2**64)))},
            "fraction",
        ),
        ({"args": tuple_of(call(named("fractions", "Fraction"), text("1/0")))}, "ZeroDivision"),
        ({"args": tuple_of(call(named("fractions", "Fraction"), text("9" * 41)))}, "fraction"),
        ({"args": tuple_of(call(named("numpy", "dtype"), text("O8")))}, r"numpy\.dtype of O8"),
        ({"args": tuple_of(call(named("_codecs", "encode"), text("x"), text("zip")))}, "encodes"),
    ],
)
def test_malformed_packages(tmp_path: Path, changes: dict[str, bytes], match: str) -> None:
    refused(write(tmp_path / "a.th", package(**changes)), match)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["<f2", "<f4"])
def test_weights_that_are_not_finite_are_named(tmp_path: Path, value: float, dtype: str) -> None:
    data = np.array([0, 1, value, 3, 4, 5], dtype).tobytes()
    kind = "HalfStorage" if dtype == "<f2" else "FloatStorage"
    state = dict_of(**{"encoder.0.weight": tensor(storage("0", 6, kind), (6,), (1,))})
    path = write(tmp_path / "a.th", package(state=state), {"data/0": data})
    refused(path, r"weight encoder\.0\.weight has 1 values that are NaN or Inf")
