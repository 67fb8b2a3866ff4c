"""Sine, cosine and power in float32, equal to torch's on x86 nearly always to the last bit.

The reference computes windows, positional embeddings and resampling filters in float32, even for a
model in float64, so a last place that differs there shows up as 1e-8 in the strict mode. None of
torch's functions is correctly rounded: sine and cosine differ from the nearest float32 number in
one of twenty cases. These differ from torch's in one of a million, and nowhere in the windows and
embeddings of the published models: `tests/layers/test_float32_math.py` checks that.

All functions take and return float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Pair = tuple[Any, Any]  # an unevaluated sum of two float32 numbers, the larger first
_f = np.float32

# torch's sine is that of a polynomial of degree 9 over half a turn, computed in float64. The
# coefficients were measured: with them each of the 64 million float32 numbers from 1/64 to pi/2
# comes out as torch has it.
_SINE = tuple(
    float.fromhex(coefficient)
    for coefficient in (
        "0x1.5dbdf11f715afp-19",
        "-0x1.9f6ffeedcb7bep-13",
        "0x1.110ed380574bep-7",
        "-0x1.55554bc836402p-3",
    )
)
_LARGE = 10000  # from here on torch does something else, correctly rounded in 99 of 100 cases
_PI = (float.fromhex("0x1.921fb544p+1"), float.fromhex("0x1.0b4611a626331p-33"))


def sin(x: Any) -> Any:
    """Sine of an array, or of a tensor of unknown shape inside a graph.

    Angles of 10,000 and more in arrays are correctly rounded, where torch's are not quite.
    """
    wide, rint = _wide(x)
    half_turns = rint(wide / np.pi)
    y = _sine(wide, half_turns) * _sign(half_turns)
    return _narrow(x, y, np.sin)


def cos(x: Any) -> Any:
    """Cosine, as `sin`."""
    wide, rint = _wide(x)
    half_turns = rint(wide / np.pi - 0.5)
    y = _sine(wide, half_turns + 0.5) * -_sign(half_turns)
    return _narrow(x, y, np.cos)


def _sine(x: Any, half_turns: Any) -> Any:
    """Sine of `x - half_turns pi`, which is at most pi / 2."""
    x = x - half_turns * _PI[0] - half_turns * _PI[1]
    square = x * x
    y = square * _SINE[0]
    for coefficient in _SINE[1:]:
        y = (y + coefficient) * square
    return x + x * y


def _sign(half_turns: Any) -> Any:
    return 1 - 2 * (half_turns - 2 * (half_turns // 2))


def _wide(x: Any) -> tuple[Any, Any]:
    """`x` in float64, and what rounds it to whole numbers."""
    if isinstance(x, np.ndarray):
        return x.astype(np.float64), np.rint
    import tensorflow as tf

    return tf.cast(x, tf.float64), tf.round


def _narrow(x: Any, y: Any, exact: Any) -> Any:
    if isinstance(x, np.ndarray):
        return np.where(np.abs(x) < _LARGE, y, exact(x.astype(np.float64))).astype(np.float32)
    import tensorflow as tf

    return tf.cast(y, tf.float32)


# The power is SLEEF's in the 1.0 ulp version with fused multiply-add: the same operations in the
# same order, for a positive base and results that are neither tiny nor huge.
# Method and coefficients: https://sleef.org, src/libm/sleefsimdsp.c (Boost license).

# torch does whole blocks of this many numbers that way, with AVX-512 at least, and takes the C
# library's power for the rest, which is correctly rounded nearly always.
_POWER_BLOCK = 32
_LN2 = (_f(0.693145751953125), _f(1.428606765330187045e-06))
_LOG2_E = _f(1.442695040888963407359924681)


def power(base: float, exponent: Array) -> Array:
    """`base ** exponent`, (N), for a base above 0 and results from 1e-30 to 1e30."""
    exponent = np.asarray(exponent, np.float32)
    result = np.where(exponent == 0, _f(1), _exp(_multiply(_log(_f(base)), exponent)))
    whole = exponent.size // _POWER_BLOCK * _POWER_BLOCK
    result[whole:] = np.power(np.float64(_f(base)), exponent[whole:].astype(np.float64))
    return result


def _log(x: Any) -> Pair:
    exponent = np.frexp(x * _f(1 / 0.75))[1] - 1
    m = np.ldexp(x, -exponent).astype(np.float32)  # in [0.75, 1.5)
    r = _divide(_add((_f(-1), _f(0)), m), _add((_f(1), _f(0)), m))
    square = _square(r)
    t = _polynomial(
        square[0],
        0.240320354700088500976562,
        0.285112679004669189453125,
        0.400007992982864379882812,
    )
    c = (_f(0.66666662693023681640625), _f(3.69183861259614332084311e-09))
    s = _multiply((_f(0.69314718246459960938), _f(-1.904654323148236017e-09)), _f(exponent))
    s = _add_smaller(s, (r[0] * _f(2), r[1] * _f(2)))
    rest = _multiply_pairs(_multiply_pairs(square, r), _add_pairs(_multiply(square, t), c))
    return _add_smaller(s, rest)


def _exp(x: Pair) -> Any:
    power = np.rint((x[0] + x[1]) * _LOG2_E)
    s = _add(x, power * -_LN2[0])
    s = _fast_sum(*_add(s, power * -_LN2[1]))
    u = _polynomial(
        s[0],
        0.00136324646882712841033936,
        0.00836596917361021041870117,
        0.0416710823774337768554688,
        0.166665524244308471679688,
        0.499999850988388061523438,
    )
    t = _add_smaller(s, _multiply(_square(s), u))
    head, tail = _fast_sum(_f(1), t[0])
    return np.ldexp(head + (tail + t[1]), power.astype(np.int64)).astype(np.float32)


def _fma(a: Any, b: Any, c: Any) -> Any:
    """a b + c, rounded once (twice in one of 2^29 cases)."""
    return (np.multiply(a, b, dtype=np.float64) + c).astype(np.float32)


def _polynomial(x: Any, *coefficients: float) -> Any:
    u = np.full(np.shape(x), coefficients[0], np.float32)
    for coefficient in coefficients[1:]:
        u = _fma(u, x, _f(coefficient))
    return u


def _fast_sum(x: Any, y: Any) -> Pair:
    s = x + y
    return s, (x - s) + y


def _add(x: Pair, y: Any) -> Pair:
    s = x[0] + y
    v = s - x[0]
    return s, ((x[0] - (s - v)) + (y - v)) + x[1]


def _add_pairs(x: Pair, y: Pair) -> Pair:
    s = x[0] + y[0]
    v = s - x[0]
    return s, ((x[0] - (s - v)) + (y[0] - v)) + (x[1] + y[1])


def _add_smaller(x: Pair, y: Pair) -> Pair:
    s = x[0] + y[0]
    return s, (((x[0] - s) + y[0]) + x[1]) + y[1]


def _square(x: Pair) -> Pair:
    s = x[0] * x[0]
    return s, _fma(x[0] + x[0], x[1], _fma(x[0], x[0], -s))


def _multiply(x: Pair, y: Any) -> Pair:
    s = x[0] * y
    return s, _fma(x[1], y, _fma(x[0], y, -s))


def _multiply_pairs(x: Pair, y: Pair) -> Pair:
    s = x[0] * y[0]
    return s, _fma(x[0], y[1], _fma(x[1], y[0], _fma(x[0], y[0], -s)))


def _divide(n: Pair, d: Pair) -> Pair:
    t = _f(1) / d[0]
    s = n[0] * t
    u = _fma(t, n[0], -s)
    v = _fma(-d[1], t, _fma(-d[0], t, _f(1)))
    return s, _fma(s, v, _fma(n[1], t, u))
