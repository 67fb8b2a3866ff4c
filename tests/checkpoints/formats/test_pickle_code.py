"""Pickles that try to run code or to use up the machine: refused, and nothing runs."""

from __future__ import annotations

import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

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
    write,
)


def _payloads(command: bytes) -> dict[str, tuple[bytes, str]]:
    """Name -> (the pickled value, what the message must say)."""
    run = call(named("os", "system"), command)
    code = b"X" + struct.pack("<I", len(command)) + b"#" * len(command)
    demucs = named("demucs.demucs", "Demucs")
    encode = named("_codecs", "encode")
    return {
        "os.system": (run, r"os\.system"),
        "posix.system": (call(named("posix", "system"), command), r"posix\.system"),
        "eval": (call(named("builtins", "eval"), code), r"builtins\.eval"),
        "exec": (call(named("__builtin__", "exec"), code), r"__builtin__\.exec"),
        "getattr": (call(named("builtins", "getattr"), demucs, text("x")), r"builtins\.getattr"),
        "import": (call(named("importlib", "import_module"), text("os")), "importlib"),
        "subprocess": (call(named("subprocess", "check_call"), command), "subprocess"),
        "torch.load": (call(named("torch", "load"), command), r"torch\.load"),
        "dotted": (named("demucs.demucs", "Demucs.__init__"), r"demucs\.demucs\.Demucs\.__init__"),
        "dotted os": (
            call(named("demucs.states", "io.open"), command),
            r"demucs\.states\.io\.open",
        ),
        "globals": (
            named("torch._utils", "_rebuild_tensor_v2.__globals__"),
            r"_rebuild_tensor_v2\.__globals__",
        ),
        "parent": (named("demucs", "demucs.Demucs"), "refused, and nothing was run"),
        "space": (named("demucs.demucs Demucs", ""), "refused, and nothing was run"),
        "stack global": (
            text("os") + text("system") + b"\x93" + tuple_of(command) + b"R",
            r"os\.system",
        ),
        "stack global of tuples": (tuple_of(text("os")) + text("a") + b"\x93", "no text"),
        "escape": (named("os", "\x1b[2Jsystem"), r"os\.\\x1b\[2Jsystem"),
        "call a class": (call(demucs, command), r"calls demucs\.demucs\.Demucs"),
        "call a storage": (call(named("torch", "FloatStorage"), command), r"torch\.FloatStorage"),
        "call a text": (call(text("os.system"), command), "calls"),
        "build a class": (demucs + dict_of(x=command) + b"b", "sets the state of a Name"),
        "build a function": (
            encode + tuple_of(b"N", dict_of(call=command)) + b"b",
            "sets the state of a Function",
        ),
        "build a dict": (b"}" + dict_of(x=command) + b"b", "sets the state of a dict"),
        "new object": (demucs + b")\x81", "opcode NEWOBJ"),
        "new object with names": (demucs + b")}\x92", "opcode NEWOBJ_EX"),
        "INST": (b"(" + command + b"ios\nsystem\n", "opcode INST"),
        "OBJ": (b"(" + named("os", "system") + command + b"o", r"os\.system"),
        "OBJ of a class": (b"(" + demucs + command + b"o", "opcode OBJ"),
        "EXT1": (b"\x82\x01", "opcode EXT1"),
        "EXT4": (b"\x84\x01\x00\x00\x00", "opcode EXT4"),
        "text PERSID": (b"Pstorage\n", "opcode PERSID"),
        "text int": (b"I" + b"9" * 5000 + b"\n", "opcode INT|damaged"),
    }


_NAMES = list(_payloads(b"N"))


@pytest.mark.parametrize("where", ["kwargs", "training_args", "state", "klass"])
@pytest.mark.parametrize("name", _NAMES)
def test_code_in_a_pickle_is_refused_and_nothing_runs(
    tmp_path: Path, name: str, where: str
) -> None:
    canary = tmp_path / "canary"
    payload, match = _payloads(text(f"echo ran > '{canary}'"))[name]
    value = payload if where == "klass" else dict_of(x=payload)
    refused(write(tmp_path / "a.th", package(**{where: value})), match)
    assert not canary.exists()


@pytest.mark.skipif(os.name == "nt", reason="the payload is a POSIX shell command")
def test_the_payload_does_run_under_plain_pickle(tmp_path: Path) -> None:
    """The control: without it, the test above could pass on a payload that never works."""
    canary = tmp_path / "canary"
    payload, _ = _payloads(text(f"echo ran > '{canary}'"))["os.system"]
    pickle.loads(b"\x80\x02" + payload + b".")
    assert canary.exists()


def _deep(levels: int) -> bytes:
    return b"]" * levels + b"a" * (levels - 1)


def _doubling(levels: int) -> bytes:
    """A tuple of a tuple of a tuple ... twice each: 2**levels leaves in a few bytes."""
    return b"()q\x00" + b"h\x00h\x00\x86q\x00" * levels + b"t"


_SHAPE_BOMB = dict_of(
    w=call(
        named("torch._utils", "_rebuild_tensor_v2"),
        storage("0", 6),
        integer(0),
        _doubling(60),
        b")",
        b"\x89",
        b"N",
    )
)
# Name -> (the pickle, what the message must say)
_BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "deep nesting": (lambda: package(kwargs=dict_of(x=_deep(200_000))), "nested too deeply"),
    "wide": (lambda: package(args=b"(" + b"N" * 20_000 + b"t"), "too many items"),
    "doubling": (lambda: package(kwargs=dict_of(x=_doubling(60))), "nested too deeply"),
    "doubling as a shape": (lambda: package(state=_SHAPE_BOMB), "shape, stride or offset a tuple"),
    "doubling as a class": (lambda: package(klass=_doubling(60)), "found tuple"),
    "doubling as a key": (lambda: package(kwargs=b"}" + _doubling(60) + b"Ns"), "a tuple key"),
    "a long text to encode": (
        lambda: package(
            args=tuple_of(call(named("_codecs", "encode"), text("x" * 65), text("latin1")))
        ),
        "a short latin1 text",
    ),
    "many dimensions": (
        lambda: package(state=dict_of(w=tensor(storage("0", 6), (1,) * 33, (1,) * 33))),
        "33 sizes and 33 strides",
    ),
    "a list in itself": (lambda: package(kwargs=dict_of(x=b"]q\x00h\x00a")), "too deeply"),
    "a huge memo index": (lambda: package(args=b")r\xff\xff\xff\xff0."), "opcode POP"),
    "a huge length": (lambda: b"\x80\x02X\xff\xff\xff\xffabc.", "damaged"),
    "a huge frame": (
        lambda: b"\x80\x04\x95" + b"\xff" * 7 + b"\x7f.",
        "leaves something over",
    ),
    "too many opcodes": (
        lambda: package(training_args=b"(" + b"N" * 600_000 + b"t"),
        "more than 500000 opcodes",
    ),
    "too many bytes": (lambda: package(args=text("x" * 9_000_000)), "more than 8388608"),
    "no end": (lambda: package()[:-1], "damaged"),
    "two ends": (lambda: package() + b"N.", "leaves something over"),
    "an open mark": (lambda: b"\x80\x02(N.", "leaves something over"),
    "nothing on the stack": (lambda: b"\x80\x02\x86.", "takes more from the stack"),
    "no mark": (lambda: b"\x80\x02t.", "damaged"),
    "an unknown memo": (lambda: b"\x80\x02h\x07.", "damaged"),
    "an odd dictionary": (lambda: b"\x80\x02}(NNNu.", "damaged"),
    "an append to a tuple": (lambda: b"\x80\x02)Na.", "appends to something that is no list"),
    "items of a tuple": (lambda: b"\x80\x02)NNs.", "something that is no dictionary"),
    "a wrong call": (
        lambda: package(args=call(named("fractions", "Fraction"), *[b"N"] * 5)),
        "damaged",
    ),
    "a big-endian NumPy scalar": (
        lambda: package(
            args=call(named("numpy", "dtype"), text("f8"), b"\x89", b"\x88")
            + tuple_of(integer(3), text(">"), b"N")
            + b"b"
        ),
        "not of little-endian numbers",
    ),
}


@pytest.mark.parametrize("name", list(_BOMBS))
def test_bombs_and_nonsense_end_in_an_error(tmp_path: Path, name: str) -> None:
    make, match = _BOMBS[name]
    refused(write(tmp_path / "a.th", make()), match)


def test_a_list_of_everything_allowed_is_pinned() -> None:
    """A new name in the allow-list is a decision; this makes it a visible one."""
    from demucs_tf.checkpoints.formats.torch_package import _NAMES as allowed

    modules = {name.split(" ")[0] for name in allowed}
    assert len(allowed) == 37
    assert modules == {
        "_codecs",
        "collections",
        "demucs.demucs",
        "demucs.hdemucs",
        "demucs.htdemucs",
        "demucs.wdemucs",
        "diffq.diffq",
        "diffq.uniform",
        "fractions",
        "numpy",
        "numpy._core.multiarray",
        "numpy.core.multiarray",
        "torch",
        "torch._utils",
        "torch.storage",
    }
