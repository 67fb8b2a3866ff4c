"""States that `diffq` 0.2 packed, decoded with NumPy.

A packed state has no names: the quantiser walks the model's parameters in the order in which they
were registered and sorts them into three lists, by size and name.

- `quantized`: whole numbers ("levels") from 0 to 2**bits - 1, and the range (least, largest) that
  they stand for. UniformQuantizer has one number of bits; DiffQuantizer has one for each group of
  `group_size` numbers, and stores the levels of all groups with 1 bit, then with 2 bits, to 14.
- `float16`: small parameters, if they are to have half precision.
- `others`: small parameters as they are.

Bits are packed in one of two ways, or not at all:

- `bitpack`: int64 (blocks, bits, 32). Number n of a block of 2048 is bit n // 32 of word n % 32 in
  each of the `bits` rows, the lowest bit first.
- `torch_pack`: any integers (bits, words), of W bits each. Number n is bit n // words of word
  n % words.

Reference: diffq/base.py::BaseQuantizer.restore_quantized_state
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

import numpy as np

from demucs_tf.checkpoints.formats.pickle_data import Name
from demucs_tf.checkpoints.formats.untrusted import Array, finite
from demucs_tf.errors import CheckpointError
from demucs_tf.utils.text import shown

# Quantiser -> its arguments, and their defaults.
_COMMON: dict[str, Any] = {
    "min_size": 0.01,
    "float16": False,
    "exclude": (),
    "detect_bound": True,  # no model of the reference has a parameter in two places
}
_OPTIONS: dict[str, dict[str, Any]] = {
    "DiffQuantizer": {
        **_COMMON,
        "group_size": 1,
        "min_bits": 2,
        # Those left say how the numbers of bits were learnt.
        "max_bits": 15,
        "param": "bits",
        "noise": "gaussian",
        "init_bits": 8,
        "extra_bits": 0,
        "suffix": "_diffq",
    },
    "UniformQuantizer": {**_COMMON, "bits": 8.0, "qat": False},
}
# Where a package may name them from.
QUANTIZERS = {
    "diffq.diffq.DiffQuantizer": "DiffQuantizer",
    "diffq.uniform.UniformQuantizer": "UniformQuantizer",
}
_MAX_BITS = 15
_STORED_BITS = range(1, 15)
_BLOCK, _WORDS = 2048, 32
_MB = 2**20


@dataclass(frozen=True)
class Quantized:
    """A packed state: what it holds is known once the shapes of the model are."""

    kind: str
    options: Mapping[str, Any]
    packed: bool
    torch_pack: bool
    quantized: list[Any]
    float16: list[Array]
    others: list[Array]

    def numbers(self) -> int:
        """How many numbers the state can stand for at most; packed ones have a bit or more."""
        count = sum(array.size for array in self.float16 + self.others)
        for item in self.quantized:
            for levels in self._levels(item):
                count += self._capacity(levels)
        return count

    def arrays(self) -> int:
        """How many weights the state has."""
        return len(self.quantized) + len(self.float16) + len(self.others)

    def _levels(self, item: Any) -> list[Array]:
        """All arrays of levels of one parameter."""
        if self.packed and self.kind == "DiffQuantizer":
            return [levels for levels in item[0] if levels is not None]
        return [item[0]]

    def _capacity(self, levels: Array) -> int:
        if not self.packed or not levels.size:
            return int(levels.size)
        per_word = 8 * levels.dtype.itemsize
        return int(levels.size) // levels.shape[0 if self.torch_pack else 1] * per_word

    def decode(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
        """The weights by name.

        Args:
            shapes: of the model's parameters, in the reference's order and layout.

        Raises:
            CheckpointError: the state is of another model, or malformed.
        """
        places = self._places(shapes)
        state: dict[str, Array] = {}
        for title, keys in places.items():
            values = getattr(self, title)
            if len(keys) != len(values):
                raise CheckpointError(
                    f"its packed weights are of another model: {len(values)} of them are "
                    f"{title}, and the model has {len(keys)} such weights"
                )
            for key, value in zip(keys, values, strict=True):
                if title == "quantized":
                    value = self._decode(key, value, shapes[key])
                elif value.shape != shapes[key]:
                    raise CheckpointError(
                        f"its packed weights are of another model: {key} has the shape "
                        f"{shapes[key]}, found {shown(value.shape)}"
                    )
                state[key] = finite(key, value)
        return {key: state[key] for key in shapes}

    def _places(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, list[str]]:
        """Which of the three lists each parameter is in.

        Reference: diffq/base.py::BaseQuantizer._find_params
        """
        places: dict[str, list[str]] = {"quantized": [], "float16": [], "others": []}
        limit = self.options["min_size"] * _MB // 4
        small = "float16" if self.options["float16"] else "others"
        for key, shape in shapes.items():
            name = key.rpartition(".")[2]
            excluded = any(fnmatch(key, p) or fnmatch(name, p) for p in self.options["exclude"])
            kept = excluded or math.prod(shape) <= limit
            places[small if kept else "quantized"].append(key)
        return places

    def _decode(self, key: str, item: Any, shape: tuple[int, ...]) -> Array:
        try:
            if self.kind == "UniformQuantizer":
                levels, bits = self._uniform(item, math.prod(shape)), self.options["bits"]
                return _values(levels, item[1], np.float32(bits)).reshape(shape)
            levels, bits = self._groups(item, math.prod(shape))
            return _values(levels, item[1], bits[:, None]).reshape(shape)
        except CheckpointError as error:
            raise CheckpointError(f"its packed weight {key}: {error}") from error

    def _uniform(self, item: Any, count: int) -> Array:
        if self.packed:
            return self._unpack(item[0], count, int(self.options["bits"]))
        if item[0].size != count:
            raise CheckpointError(f"wanted {count} levels, found {item[0].size}")
        levels: Array = item[0].reshape(-1)
        return levels

    def _groups(self, item: Any, count: int) -> tuple[Array, Array]:
        """Levels (groups, numbers) and bits (groups) of one parameter."""
        size = self.options["group_size"] or count  # 0: one group of all
        if not size or count % size:
            raise CheckpointError(f"groups of {size} do not divide {count} numbers")
        groups = count // size
        if not self.packed:
            if item[0].shape != (groups, size) or item[2].size != groups:
                raise CheckpointError(f"wanted {groups} groups of {size} levels, found others")
            return item[0], _checked_bits(item[2].reshape(-1), _MAX_BITS)
        bits = self._unpack(item[2], groups, None).astype(np.int64) + int(self.options["min_bits"])
        _checked_bits(bits, _MAX_BITS)
        if _MAX_BITS in bits:
            raise CheckpointError(
                f"{np.count_nonzero(bits == _MAX_BITS)} of its groups have {_MAX_BITS} bits, which "
                "diffq packs without their numbers: they are not in the file. Save the model "
                "again with max_bits=14, or without packing"
            )
        levels = np.zeros((groups, size), np.int16)
        for count_of_bits, packed in zip(_STORED_BITS, item[0], strict=True):
            chosen = bits == count_of_bits
            here = int(np.count_nonzero(chosen))
            if (packed is None) != (here == 0):
                raise CheckpointError(f"{here} groups have {count_of_bits} bits, found others")
            if packed is not None:
                values = self._unpack(packed, here * size, count_of_bits)
                levels[chosen] = values.reshape(here, size)
        return levels, bits

    def _unpack(self, packed: Array, count: int, bits: int | None) -> Array:
        """The first `count` numbers of `bits` bits each (None: as many as there are rows)."""
        if self.torch_pack:
            width = 8 * packed.dtype.itemsize
            wanted: tuple[int, ...] = (packed.shape[0], -(-count // width))
            rows = packed[None]
        else:
            wanted = (-(-count // _BLOCK), packed.shape[1] if packed.ndim == 3 else 0, _WORDS)
            rows = packed
        found = rows.shape[1]
        if packed.shape != wanted or found > _MAX_BITS or (bits is not None and found != bits):
            raise CheckpointError(
                f"wanted {count} packed numbers of {'some' if bits is None else bits} bits, found "
                f"an array of the shape {shown(packed.shape)}"
            )
        blocks, words = rows.shape[0], rows.shape[2]
        values = np.zeros((blocks, 8 * rows.dtype.itemsize, words), np.int16)
        for bit in range(found):
            row = np.ascontiguousarray(rows[:, bit]).astype(rows.dtype.newbyteorder("<"))
            octets = row.view(np.uint8).reshape(blocks, words, rows.dtype.itemsize)
            flags = np.unpackbits(octets, axis=2, bitorder="little")  # (blocks, words, W)
            values |= flags.transpose(0, 2, 1).astype(np.int16) << np.int16(bit)
        return values.reshape(-1)[:count]


def _checked_bits(bits: Array, most: int) -> Array:
    if bits.size and not 1 <= bits.min() <= bits.max() <= most:
        raise CheckpointError(f"wanted 1 to {most} bits, found {bits.min()} to {bits.max()}")
    return bits


def _values(levels: Array, scale: tuple[float, float], bits: Any) -> Array:
    """What the levels stand for, in the reference's order of operations in float32.

    Reference: diffq/uniform.py::uniform_unquantize
    """
    least, largest = scale
    one = np.float32(1)
    unit = one / (np.exp2(np.asarray(bits).astype(np.float32)) - one)
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused afterwards
        shares = levels.astype(np.float32) * unit
        return shares * np.float32(largest - least) + np.float32(least)


# Reading what the file says


def read_quantized(state: Mapping[str, Any]) -> Quantized:
    """Check the nested state of a package in which `__quantized` is set.

    Args:
        state: plain data with arrays as its leaves.

    Raises:
        CheckpointError: it is not what diffq 0.2 writes.
    """
    meta = state.get("meta")
    if not isinstance(meta, dict):
        raise CheckpointError("its packed weights lack `meta`, which says how diffq packed them")
    klass = meta.get("klass")
    kind = QUANTIZERS.get(str(klass)) if isinstance(klass, Name) else None
    if kind is None:
        raise CheckpointError(
            f"its weights were packed by {shown(klass)}, wanted one of {', '.join(QUANTIZERS)}"
        )
    packed, torch_pack = meta.get("packed", False), meta.get("torch_pack", False)
    if type(packed) is not bool or type(torch_pack) is not bool:
        raise CheckpointError("wanted true or false as `packed` and `torch_pack` of packed weights")
    lists = {title: state.get(title) for title in ("quantized", "float16", "others")}
    for title, items in lists.items():
        if not isinstance(items, list):
            raise CheckpointError(f"its packed weights lack the list `{title}`")
    whole = Quantized(
        kind,
        _options(kind, meta.get("init_kwargs")),
        packed,
        torch_pack,
        [_item(kind, packed, torch_pack, item) for item in lists["quantized"] or []],
        [_floats(item) for item in lists["float16"] or []],
        [_floats(item) for item in lists["others"] or []],
    )
    return whole


def _options(kind: str, given: object) -> dict[str, Any]:
    known = _OPTIONS[kind]
    if not isinstance(given, dict) or not given.keys() <= known.keys():
        raise CheckpointError(f"its packed weights have options that diffq's {kind} has not")
    options = {**known, **given}
    _option(_is_number(options["min_size"]), kind, "min_size", options)
    _option(type(options["float16"]) is bool, kind, "float16", options)
    patterns = options["exclude"]
    if patterns is None or not isinstance(patterns, list | tuple) or len(patterns) > 100:
        _option(False, kind, "exclude", options)
    _option(all(isinstance(p, str) and len(p) <= 200 for p in patterns), kind, "exclude", options)
    if kind == "DiffQuantizer":
        size, least = options["group_size"], options["min_bits"]
        _option(type(size) is int and size >= 0, kind, "group_size", options)
        _option(_is_number(least) and least == int(least), kind, "min_bits", options)
    else:
        bits = options["bits"]
        _option(_is_number(bits) and bits == int(bits) and 1 <= bits <= 15, kind, "bits", options)
    return options


def _option(good: bool, kind: str, name: str, options: Mapping[str, Any]) -> None:
    if not good:
        raise CheckpointError(f"diffq's {kind} can't have {name}={shown(options[name])}")


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and abs(value) < 2**40


def _floats(value: object) -> Array:
    if not isinstance(value, np.ndarray) or not np.issubdtype(value.dtype, np.floating):
        raise CheckpointError("wanted floating-point tensors beside its packed weights")
    return value


def _item(kind: str, packed: bool, torch_pack: bool, item: object) -> tuple[Any, ...]:
    """One quantised parameter: levels, range and, for DiffQuantizer, bits."""
    parts = 3 if kind == "DiffQuantizer" else 2
    if not isinstance(item, list | tuple) or len(item) != parts:
        raise CheckpointError(f"wanted {parts} parts of each packed weight")
    levels, scale = item[0], item[1]
    if packed and kind == "DiffQuantizer":
        if not isinstance(levels, list | tuple) or len(levels) != len(_STORED_BITS):
            raise CheckpointError(f"wanted {len(_STORED_BITS)} arrays of levels, by bits")
        levels = [each if each is None else _integers(each, packed, torch_pack) for each in levels]
    else:
        levels = _integers(levels, packed, torch_pack)
    if not isinstance(scale, list | tuple) or len(scale) != 2 or not all(map(_is_float, scale)):
        raise CheckpointError("wanted two numbers as the range of a packed weight")
    return (
        levels,
        tuple(map(float, scale)),
        *(_integers(each, packed, torch_pack) for each in item[2:]),
    )


def _is_float(value: object) -> bool:
    # Compared, because a whole number may be too large to become a float.
    return type(value) in (int, float) and abs(value) <= sys.float_info.max  # type: ignore[arg-type]


def _integers(value: object, packed: bool, torch_pack: bool) -> Array:
    if not isinstance(value, np.ndarray) or not np.issubdtype(value.dtype, np.integer):
        raise CheckpointError("wanted whole numbers as packed weights")
    if packed and torch_pack and value.ndim != 2:
        raise CheckpointError(f"wanted packed numbers as (bits, words), found {value.ndim} axes")
    if packed and not torch_pack and (value.ndim != 3 or value.dtype != np.int64):
        raise CheckpointError("wanted packed numbers as int64 of (blocks, bits, 32)")
    return value
