"""Machine-made mutants that are the port: nothing that is asked of it could tell them apart."""

from __future__ import annotations

import re
from dataclasses import dataclass

from parity.core.guards.mutants import Mutant


@dataclass(frozen=True)
class Equivalent:
    """Patterns of a place and of a change, with `*` for anything, and why it changes nothing.

    `where` is "module function: statement", the module below `demucs_tf`.
    """

    where: str
    change: str
    why: str

    def fits(self, mutant: Mutant) -> bool:
        """Whether a mutant is meant."""
        module = mutant.module.partition(".")[2]
        place = f"{module} {mutant.function}: {mutant.statement}"
        return _fits(self.where, place) and _fits(self.change, mutant.change)


def _fits(pattern: str, text: str) -> bool:
    return bool(re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text))


WAYS = "Which of two ways is taken to the same sums: a matter of time."
BLOCKS = "How long the sums of a block are: any length adds up the same numbers."
NEVER = "The one number that tells them apart does not come: no batch has no items."
GUARD = "It keeps a table that is shared from being written to, and nothing writes to it."
PRODUCT = "A product has the same value whichever factor comes first."
PLAIN = "With a gradient of ours or TensorFlow's own, what is given is the same."
CASTS = "A product casts what it is given as well."
SUM = "A sum has the same value whichever comes first."
WIDER = "A wider band has more of what is next to zero."
MORE = "What frames beyond the last one give is cut off: a matter of time."
TURNS = "The loop ends by its other bound as well."

EQUIVALENT: tuple[Equivalent, ...] = (
    # Two ways to one result
    Equivalent("layers.conv _pays: *", "taps * channels <= width -> taps * channels < width", WAYS),
    Equivalent("layers.conv _pays: *", "taps * channels -> taps / channels", WAYS),
    Equivalent("layers.conv _pays: *", "taps % stride -> taps // stride", WAYS),
    Equivalent(
        "layers.conv Conv1d.part: if self.stride == 1 and *",
        "taps * width <= channels -> taps * width < channels",
        WAYS,
    ),
    Equivalent(
        "layers.conv Conv1d.part: if self.stride == 1 and *",
        "taps * width -> taps / width",
        WAYS,
    ),
    Equivalent("layers.conv Conv1d.part: if *", "not is_portable() -> is_portable()", WAYS),
    Equivalent("layers.conv Conv1d._to_few: convolves = *", "*<= _LONGEST_SUM -> *< *", WAYS),
    Equivalent("layers.conv Conv1d._to_few: convolves = *", "* * channels -> * / *", WAYS),
    Equivalent("layers.conv Conv1d._shares_blocks: half = *", "2 * self.stride -> 2 / *", WAYS),
    Equivalent("layers.conv Conv1d._shares_blocks: return *", "* != tf.bfloat16 -> *", WAYS),
    Equivalent("layers.conv _by_shared_blocks: between = *", "batch - 1 -> batch + 1", WAYS),
    Equivalent("layers.conv Conv2d._along_frequency: *", "not is_portable() -> *", WAYS),
    Equivalent("layers.linear add_bias: fused = *", "*", WAYS),
    Equivalent("layers.linear add_bias: plus = *", "tf.nn.bias_add if fused else *", WAYS),
    Equivalent("layers.linear _times: if *", "*> _SMALL -> *>= _SMALL", WAYS),
    Equivalent("blocks.blstm BLSTM.call: if is_joined_here() *", "*", WAYS),
    Equivalent("blocks.blstm _measures: *", "2 -> 3", MORE),
    Equivalent("blocks.blstm _measures: *", "1 -> 2", MORE),
    Equivalent("blocks.blstm _measures: *", "count - 1 -> count + 1", MORE),
    Equivalent("layers.norm GroupNorm.call: return *", "groups > 1 -> groups >= 1", WAYS),
    Equivalent("layers.norm GroupNorm.call: return *", "*> 3 -> *>= 3", WAYS),
    Equivalent("layers.norm _gram: if *", "length <= 2 * _ROW -> length < 2 * _ROW", WAYS),
    Equivalent("layers.norm _gram: if *", "2 * _ROW -> 2 / _ROW", WAYS),
    Equivalent("layers.norm _gram: if *", "2 -> 3", WAYS),
    Equivalent(
        "layers.spectral _factors: q = min(*",
        "q * q* -> q*",
        "Any two factors of a length do: these take the fewest products.",
    ),
    Equivalent(
        "layers.spectral _factors: q = min(*",
        "min(divisors, key=* -> min(divisors)",
        "Any two factors of a length do: these take the fewest products.",
    ),
    *(
        Equivalent("blocks.wiener *", f"_times({x}, {y}) -> _times({y}, {x})", PRODUCT)
        for x, y in (
            ("spatial[a][k]", "inverse[k][b]"),
            ("a", "d"),
            ("b", "c"),
            ("factor", "d"),
            ("minus", "b"),
            ("minus", "c"),
            ("factor", "a"),
        )
    ),
    Equivalent(
        "blocks.multiwrap MultiWrap._decode: limit = *",
        "1 -> 2",
        "The last ratio is 1, and as many rows as there are, times 1, are all of them.",
    ),
    Equivalent(
        "layers.norm _by_matrix: matrix = *",
        "rows - average -> rows + average",
        "The other rows, without their average, add up to zero: what is added counts for nothing.",
    ),
    Equivalent(
        "layers.float32_math cos: y = *", "_sine(*) * -* -> _sine(*) / -*", "A sign is its inverse."
    ),
    Equivalent(
        "layers.float32_math power: x = x - *",
        "*_LOG2[0], dtype=np.float64) -> *_LOG2[0])",
        "This part of log 2 has so few bits that float32 holds the product as well.",
    ),
    *(
        Equivalent(f"layers.linear {name}: if is_joined() or *", "* or * -> * and *", PLAIN)
        for name in ("add_bias", "scaled", "scaled_and_shifted")
    ),
    Equivalent(
        "layers.recurrent _rows: rows = *",
        "*, element_shape=shape) -> tf.TensorArray(dtype, count)",
        "LiteRT's converter wants to be told; the numbers are the same.",
    ),
    Equivalent("layers.resample sinc_bands: least = *", "2 -> 3", WIDER),
    Equivalent("layers.resample sinc_bands: least = *", "31 -> 32", WIDER),
    Equivalent("layers.conv _Transposed._phases: x = as_type(*", "* -> left out", CASTS),
    Equivalent("layers.conv _Transposed._phases: multiplies = *", "not is_portable() -> *", WAYS),
    Equivalent("blocks.multiwrap MultiWrap._decode: out, _ = *", "layer(band, * -> layer(*", SUM),
    Equivalent(
        "blocks.wiener _portable_loudness: power = *",
        "-1 -> 1",
        "The largest number is the same, whichever way they lie side by side.",
    ),
    Equivalent(
        "blocks.wiener _portable_loudness: power = *",
        "*+ tf.square(imag) -> *- tf.square(imag)",
        "Whatever it scales by is taken out again: it keeps squares within float32.",
    ),
    Equivalent(
        "layers.norm GroupNorm.call: variance = *",
        "*- tf.square(rest) -> *+ tf.square(rest)",
        "What rounding leaves in a mean is so small that its square is below all digits.",
    ),
    Equivalent(
        "layers.recurrent _gated: return *", "80 -> 81", "Any bound up to 88 does: see there."
    ),
    Equivalent(
        "layers.resample _sinc: t = np.clip(*",
        "np.clip(t, one(-zeros), *) -> np.clip(one(-zeros), t, *)",
        "Of two numbers the larger one is the same in either order.",
    ),
    Equivalent(
        "layers.shape one_of: *",
        "0 -> 1",
        "It is 1 whatever it is made of; whether a converter knows is asserted of its files.",
    ),
    Equivalent("blocks.dconv DConv.call: if is_joined() and *", "4 -> 5", WAYS),
    Equivalent("blocks.wiener mark_silence: *", "tf.logical_and(* -> tf.logical_and(*", PRODUCT),
    # Sums in blocks
    Equivalent(
        "layers.linear _over_axis_1: while *",
        "length > 2 * _ROWS -> length >= 2 * _ROWS",
        BLOCKS,
    ),
    Equivalent("layers.linear _over_axis_1: while *", "2 -> 3", BLOCKS),
    Equivalent("layers.norm total: while *", "length > 2 * _ROW -> length >= 2 * _ROW", BLOCKS),
    Equivalent("layers.norm total: while *", "2 -> 3", BLOCKS),
    Equivalent("layers.norm _even_row: if length <= 2 * _ROW:", "*", BLOCKS),
    Equivalent("layers.norm _even_row: candidates = range(*", "*", BLOCKS),
    Equivalent("layers.norm _even_row: return *", "row if row and * -> 0 if row and *", BLOCKS),
    Equivalent("layers.norm _even_row: return 0", "0 -> 1", BLOCKS),
    Equivalent("layers.norm _even_row: return *", "*<= _MOST -> *< _MOST", BLOCKS),
    Equivalent("layers.norm _even_row: return *", "length // row -> length * row", BLOCKS),
    Equivalent("layers.norm _even_row: return *", "0 -> 1", BLOCKS),
    Equivalent("layers.attention MultiheadAttention._attend: block = *", "5 -> 6", BLOCKS),
    Equivalent(
        "layers.attention MultiheadAttention._attend: block = *", "max(* -> _BLOCK*", BLOCKS
    ),
    Equivalent("layers.conv Conv2d.part: y = _in_parts(*", "0 -> 1", BLOCKS),
    Equivalent("layers.resample sinc_bands: step = max(*", "*", BLOCKS),
    Equivalent("blocks.embedding sin_embedding_of_steps: width = *", "64 -> 65", BLOCKS),
    # What does not come
    *(
        Equivalent(
            "blocks.blstm unframe: row = *",
            change,
            "The row is cut to a length that the middles of the frames are enough for.",
        )
        for change in ("-limit -> limit", "-1 -> 1")
    ),
    Equivalent(
        "blocks.multiwrap MultiWrap._decode: first, after = *",
        "0 -> 1",
        "Every band has another first row: one with a seam, or the lowest.",
    ),
    Equivalent(
        "blocks.wiener _reciprocal: energy = *",
        "*+ tf.square(z[1]) -> *- tf.square(z[1])",
        "The determinant of a covariance is real.",
    ),
    Equivalent(
        "blocks.multiwrap MultiWrap.call: if *", "0 -> 1", "All bands have layers of one class."
    ),
    Equivalent(
        "blocks.embedding _periods: with *",
        "np.errstate(*",
        "It keeps NumPy from warning of a width of 2, whose number is the same.",
    ),
    Equivalent("layers.shape _as_long: return (length, 0)", "0 -> 1", "A scalar has no axis."),
    Equivalent("layers.norm _rows: *", "batch < 0 -> batch <= 0", NEVER),
    Equivalent("layers.norm _rows: *", "0 -> 1", NEVER),
    Equivalent("layers.norm _group_mean: rows = *", "batch < 0 -> batch <= 0", NEVER),
    Equivalent("layers.norm _group_mean: rows = reshape(rows, *", "0 -> 1", NEVER),
    Equivalent(
        "layers.spectral _divide: ones = *", "* * tf.ones(* -> * / tf.ones(*", "They are ones."
    ),
    # Guards
    Equivalent(
        "models.htdemucs HTDemucsTF.call: mix = tf.ensure_shape(*",
        "* -> left out",
        "It tells a graph what has been checked.",
    ),
    Equivalent("*: *.flags.writeable = False", "False -> True", GUARD),
    Equivalent("layers.recurrent _recur: *tf.while_loop(*", "t < steps -> t <= steps", TURNS),
    Equivalent("layers.recurrent _recur_portably: *while_loop(*", "t < turns -> t <= turns", TURNS),
    Equivalent("layers.recurrent _recur_portably: *while_loop(*", "tf.while_loop(* -> *", TURNS),
)
