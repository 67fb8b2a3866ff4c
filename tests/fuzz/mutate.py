"""Changes to sound checkpoints: of bytes, and of what the bytes mean."""

from __future__ import annotations

import io
import json
import pickletools
import random
import struct
import warnings
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

from tests.fuzz.samples import Sample, entries_of
from tests.support.archives import ARCHIVES, BENT, SOUND, Archive, two_directories
from tests.support.headers import join, split
from tests.support.pickles import call, named, text

_INTEGERS = [0, 1, -1, 2, 7, 127, 128, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, -(2**31), 2**32 - 1]
_HUGE = [2**40, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 10**30]
_NAMES = ["os system", "builtins eval", "torch FloatStorage", "diffq.diffq DiffQuantizer"]
_NAMES += ["collections OrderedDict", "torch._utils _rebuild_tensor_v2", "demucs.hdemucs HDemucs"]
_NAMES += ["fractions Fraction", "torch Size", "numpy dtype", "_codecs encode", "torch float16"]
_VALUES: list[Any] = [
    None,
    True,
    False,
    "",
    "x",
    "a" * 1000,
    "os.system",
    "diffq.diffq.DiffQuantizer",
    "\x1b[2J\u0455\x00",
    [],
    {},
    [[]],
    [1, "a", None],
    {"_type": "fraction", "numerator": 1, "denominator": 0},
    {"_tensor": "state.others.0"},
    {"_class": "os.system"},
    {"_dict": [["a", 1]]},
    {"_list": [1, 2]},
    0.5,
    -0.5,
    1e300,
    1e-300,
    float("nan"),
    float("inf"),
    *_INTEGERS,
    *_HUGE,
]


def mutated(sample: Sample, others: Sequence[Sample], dice: random.Random) -> bytes:
    """One changed file, of one to four changes; any of them may be in any layer."""
    content = sample.content
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        try:
            content = _once(sample, content, others, dice)
        except Exception:  # an earlier change broke the layer that this one is for
            content = _bytes(content, dice)
    return content


def _once(sample: Sample, content: bytes, others: Sequence[Sample], dice: random.Random) -> bytes:
    if dice.random() < 0.02:  # two files in one
        other = dice.choice(others).content
        if sample.suffix in ARCHIVES and dice.random() < 0.5:
            return two_directories(content, _longer(content, dice))
        return content[: dice.randrange(len(content))] + other[dice.randrange(len(other)) :]
    if sample.suffix == ".yaml":
        return _text(content, dice)
    if dice.random() < 0.2:
        return _bytes(content, dice)
    if sample.suffix == ".safetensors":
        return _safetensors(content, dice)
    return _archive(content, sample.focus, dice)


def _bytes(content: bytes, dice: random.Random) -> bytes:
    """Flips, integers, cuts, copies, insertions."""
    if not content:
        return bytes([dice.randrange(256)])
    at = dice.randrange(len(content))
    to = min(len(content), at + dice.choice((1, 2, 4, 8, 30, 500)))
    changes: list[Callable[[], bytes]] = [
        lambda: content[:at] + bytes([content[at] ^ 1 << dice.randrange(8)]) + content[at + 1 :],
        lambda: content[:at] + bytes([dice.randrange(256)]) + content[at + 1 :],
        lambda: content[:at] + _packed_integer(dice) + content[to:],
        lambda: content[:at],
        lambda: content[:at] + content[to:],
        lambda: content[:to] + content[at:],
        lambda: content[:at] + bytes(dice.randrange(40)) + content[at:],
        lambda: content[:at] + content[dice.randrange(len(content)) :][: to - at] + content[to:],
    ]
    return dice.choice(changes)()


def _packed_integer(dice: random.Random) -> bytes:
    size = dice.choice((1, 2, 4, 8))
    value = dice.choice(_INTEGERS + _HUGE) % 2 ** (8 * size)
    return value.to_bytes(size, dice.choice(("little", "big")))


def _text(content: bytes, dice: random.Random) -> bytes:
    words = [
        b"&a ",
        b"*a",
        b"!!python/object:os.system ",
        b"- ",
        b"{",
        b"[",
        b"[" * 50,
        b": ",
        b"\n",
    ]
    words += [b"models", b"..", b"/", b"1e999", b".nan", b"? ", b"<<: ", b"9" * 400, b"\xff", b"  "]
    at = dice.randrange(len(content) + 1)
    return (
        content[:at] + dice.choice(words) + content[at:]
        if dice.random() < 0.6
        else _bytes(content, dice)
    )


# JSON


def _json(value: Any, dice: random.Random) -> Any:
    """The same value with one node changed, somewhere."""
    if isinstance(value, dict) and value and dice.random() < 0.85:
        key = dice.choice(list(value))
        if dice.random() < 0.1:
            return {k: v for k, v in value.items() if k != key}
        if dice.random() < 0.1:
            return {**value, dice.choice(("x", "_class", "dtype", "_list", "")): value[key]}
        return {**value, key: _json(value[key], dice)}
    if isinstance(value, list) and value and dice.random() < 0.85:
        at = dice.randrange(len(value))
        if dice.random() < 0.15:
            return value[:at] + value[at + 1 :]
        if dice.random() < 0.15:
            return value[:at] + [value[at]] * dice.choice((2, 3, 300)) + value[at + 1 :]
        return [*value[:at], _json(value[at], dice), *value[at + 1 :]]
    if isinstance(value, int) and not isinstance(value, bool) and dice.random() < 0.5:
        return value + dice.choice((-1, 1, 8, 2048))
    return dice.choice(_VALUES)


def _written(value: Any, dice: random.Random) -> str:
    """JSON, now and then with a key twice, deeper than any stack, or with a number too long."""
    content = json.dumps(value)
    if dice.random() < 0.05 and content.endswith("}") and len(content) > 2:
        return content[:-1] + ", " + content[1:]
    if dice.random() < 0.03:
        return content.replace("1", "[" * 30_000 + "]" * 30_000, 1)
    if dice.random() < 0.03:
        return content.replace("1", "1" + "0" * 5000, 1)
    return content


def _safetensors(content: bytes, dice: random.Random) -> bytes:
    header, data = split(content)
    where = dice.random()
    if where < 0.2:
        return join(header, _bytes(data, dice))
    texts = header["__metadata__"]
    if where < 0.6:
        key = dice.choice(list(texts))
        if key == "klass" or dice.random() < 0.1:
            texts[key] = dice.choice((texts[key] + ".x", "os.system", texts[key][1:], "a\u0455"))
        else:
            texts[key] = _written(_json(json.loads(texts[key]), dice), dice)
        return join(header, data)
    return join(_written(_json(header, dice), dice).encode(), data)


# Archives


def _archive(content: bytes, focus: str, dice: random.Random) -> bytes:
    entries = list(entries_of(content).items())
    weights = [0.2 + (name == focus) * len(entries) for name, _ in entries]
    (at,) = dice.choices(range(len(entries)), weights)
    name, data = entries[at]
    chance = dice.random()
    if chance < 0.04:
        del entries[at]
    elif chance < 0.08:
        entries.append((name, data))
    elif chance < 0.12:
        entries[at] = (dice.choice((name + "x", "../" + name, "a/" + name, name.upper())), data)
    elif name.endswith("data.pkl"):
        entries[at] = (name, _pickle(data, dice))
    elif name.endswith(".json"):
        entries[at] = (name, _written(_json(json.loads(data), dice), dice).encode())
    else:
        entries[at] = (name, _bytes(data, dice))
    return _zipped(entries, dice)


def _zipped(entries: list[tuple[str, bytes]], dice: random.Random) -> bytes:
    how = zipfile.ZIP_DEFLATED if dice.random() < 0.03 else zipfile.ZIP_STORED
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", how) as archive:
        warnings.simplefilter("ignore")  # duplicate names are meant
        for name, data in entries:
            archive.writestr(zipfile.ZipInfo(name), data, how)
    content = stream.getvalue()
    if dice.random() < 0.9:
        return content
    bent = Archive.of(content)
    for name in dice.sample([*BENT, *SOUND], dice.choice((1, 1, 2))):
        change = SOUND[name] if name in SOUND else BENT[name][0]
        change(bent)
    return bent.bytes()


def _longer(content: bytes, dice: random.Random) -> bytes:
    """Another archive of the same names, each with other bytes."""
    archive = Archive.of(content)
    for entry in archive.entries:
        entry.data = _bytes(entry.data, dice) + bytes(600)
    return archive.bytes()


def _pickle(data: bytes, dice: random.Random) -> bytes:
    """Change, remove, repeat, move or insert a whole opcode."""
    starts = [position or 0 for _, _, position in pickletools.genops(data)]
    codes = [data[a:b] for a, b in zip(starts, [*starts[1:], len(data)], strict=True)]
    at = dice.randrange(1, len(codes))
    changes: list[Callable[[], list[bytes]]] = [
        lambda: [_argument(codes[at], dice)],
        lambda: [_argument(codes[at], dice)],
        lambda: [_argument(codes[at], dice)],
        lambda: [],
        lambda: [codes[at]] * dice.choice((2, 2, 300)),
        lambda: [codes[at], dice.choice(codes)],
        lambda: [dice.choice(_snippets(dice)), codes[at]],
        lambda: [bytes([dice.randrange(256)]), codes[at]],
    ]
    return b"".join([*codes[:at], *dice.choice(changes)(), *codes[at + 1 :]])


def _argument(code: bytes, dice: random.Random) -> bytes:
    kind, rest = code[:1], code[1:]
    if kind in b"J":
        return b"J" + struct.pack("<I", dice.choice(_INTEGERS) % 2**32)
    if kind == b"\x8a":
        return b"\x8a\x08" + struct.pack("<Q", dice.choice(_HUGE) % 2**64)
    if kind == b"c":
        module, _, name = dice.choice(_NAMES).partition(" ")
        return named(module, name)
    if kind == b"X":
        return text(dice.choice(("", "x", "0", "1", "99", "../0", "cuda", rest[4:].decode() + "x")))
    if kind == b"G":
        return b"G" + struct.pack(">d", dice.choice((0.0, -1.0, 1e300, float("nan"), 1e-300)))
    return _bytes(code, dice)


def _snippets(dice: random.Random) -> list[bytes]:
    module, _, name = dice.choice(_NAMES).partition(" ")
    return [
        call(named(module, name), text("x")),
        named(module, name),
        named(module, name) + b")\x81",
        text(module) + text(name) + b"\x93",
        b"}b",
        b"(",
        b"t",
        b"}",
        b"]",
        b")",
        b"N",
        b"2",
        b"0",
        b"Q",
        b"R",
        b"u",
        b"e",
        b"q\x01",
        b"h\x01",
        b"r\xff\xff\xff\xff",
        b"\x94",
        b"\x85",
        b"]" * 3000,
        b"J\x00\x00\x00\x80",
    ]
