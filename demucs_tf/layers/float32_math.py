"""Sine, cosine, exponential and power in float32, torch's on x86 nearly always to the last bit.

The reference computes windows, positional embeddings and resampling filters in float32, even for a
model in float64, so a last place that differs there shows up as 1e-8 in the strict mode. None of
torch's functions is correctly rounded: sine and cosine differ from the nearest float32 number in
one of twenty cases, exponential and power in one of a hundred. These differ from torch's in one of
a million, and nowhere in the windows and embeddings of the published models:
`tests/layers/test_float32_math.py` checks that.

The exponential is that of MKL's code for every processor. On Intel's, torch takes another by
itself, of which one number in sixty has another last place, unless `MKL_CBWR=COMPATIBLE` is set.

All functions take and return float32.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
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


# torch's exponential is that of MKL: 128 powers of two, each as a sum of two numbers, times a
# polynomial of degree 2, in float32 without fused operations. Method and constants were measured:
# each of 8 million numbers from -87 to 87 comes out as torch has it with AVX2, and so do all the
# frequencies of embeddings that were taken down from torch with AVX-512.
_STEPS = 128
_STEP = (_f(float.fromhex("0x1.63p-8")), _f(float.fromhex("-0x1.bd0106p-20")))  # log(2) / 128
_POWERS = np.exp2(np.arange(_STEPS) / _STEPS)
_HEADS = _POWERS.astype(np.float32)
_TAILS = (_POWERS - _HEADS).astype(np.float32)
_ROUND = _f(1.5 * 2**23)  # x + _ROUND has no room for fractions


def exp(x: Array) -> Array:
    """Exponential of an array, from -87 to 87."""
    steps = (x * _f(_STEPS / math.log(2)) + _ROUND) - _ROUND
    rest = (x - steps * _STEP[0]) - steps * _STEP[1]
    growth = rest * rest * _f(0.5) + rest
    whole, part = np.divmod(steps.astype(np.int64), _STEPS)
    head = _HEADS[part]
    return np.ldexp(head + (head * growth + _TAILS[part]), whole).astype(np.float32)


# torch's power is SLEEF's in the 1.0 ulp version, and this has its method and coefficients
# (https://sleef.org, src/libm/sleefsimdsp.c, Boost license). SLEEF has pairs of float32 numbers
# where this has float64, which makes a difference in one of ten million cases. torch does whole
# blocks that way, and takes the C library's power for the rest, which is correctly rounded but in 6
# of 10,000 cases. The blocks are of 32 numbers with AVX-512, which the goldens come from, and of 16
# with AVX2: torch itself gives other numbers there, in some widths that leave a rest of 16 or more.
_POWER_BLOCK = 32
_LOG2 = (_f(0.693145751953125), _f(1.428606765330187045e-06))


def power(base: float, exponent: Array) -> Array:
    """`base ** exponent`, (N), for a base above 0 and results from 1e-30 to 1e30."""
    result = np.power(np.float64(_f(base)), exponent.astype(np.float64)).astype(np.float32)
    blocks = exponent[: exponent.size // _POWER_BLOCK * _POWER_BLOCK]
    x = _log(float(_f(base))) * blocks.astype(np.float64)
    whole = np.rint(x / math.log(2)).astype(np.float32)
    x = x - np.multiply(whole, _LOG2[0], dtype=np.float64) - whole * _LOG2[1]
    y = _polynomial(
        x,
        0.00136324646882712841033936,
        0.00836596917361021041870117,
        0.0416710823774337768554688,
        0.166665524244308471679688,
        0.499999850988388061523438,
    )
    result[: blocks.size] = np.ldexp(1 + (x + x * x * y), whole.astype(np.int64))
    return result


def _log(x: float) -> float:
    exponent = math.frexp(x / 0.75)[1] - 1
    m = math.ldexp(x, -exponent)  # in [0.75, 1.5)
    r = (m - 1) / (m + 1)
    y = _polynomial(
        np.float64(r * r),
        0.240320354700088500976562,
        0.285112679004669189453125,
        0.400007992982864379882812,
    )
    third = 0.66666662693023681640625 + 3.69183861259614332084311e-09
    return exponent * math.log(2) + 2 * r + r**3 * (third + r * r * float(y))


def _polynomial(x: Any, *coefficients: float) -> Any:
    """Evaluate in float32 with fused multiply-add: in float64 the product is exact."""
    x = x.astype(np.float32)
    y = np.full(np.shape(x), coefficients[0], np.float32)
    for coefficient in coefficients[1:]:
        y = (np.multiply(y, x, dtype=np.float64) + _f(coefficient)).astype(np.float32)
    return y
