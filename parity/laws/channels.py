"""The relation of left and right: swapped in weights and mixture, they are swapped in the stems."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.laws.measure import Measure, twin
from parity.laws.relation import Found, NotDecided

Array = npt.NDArray[Any]

# The weights of single channels: patterns of keys, and their axis. In encoders channels come first,
# in decoders sources do; behind a channel there may be a real and an imaginary part.
_INPUTS = r"t?encoder\.0\.(0|conv|layers\.\d+\.conv)\.weight"
_OUTPUTS = r"t?decoder\.LAST\.(OUT|conv_tr|layers\.\d+\.conv_tr)\.(weight|bias)"


def channels(measure: Measure, dtype: str) -> Found:
    """f(x) with weights and mixture swapped is f(x) with stems swapped."""
    config = measure.config
    if config is None:
        raise NotDecided("which weights belong to which channel is known of Demucs only")
    if config.audio_channels != 2:
        raise NotDecided("the model does not have two channels")
    swapped = twin(measure.models[dtype], lambda state: _swapped(state, config))
    found = measure.of_model(swapped, dtype, measure.mix[:, ::-1])[:, :, ::-1]
    return found, measure.truth(measure.mix), measure.bounds(measure.mix, dtype)


def _swapped(state: Mapping[str, Array], config: Any) -> dict[str, Array]:
    """The weights with those of both channels exchanged."""
    swapped, outputs = dict(state), 0
    for key, array in state.items():
        if re.fullmatch(_INPUTS, key):
            swapped[key] = _exchange(array, 1, 1)
        elif re.fullmatch(_of_last(state, key), key):
            swapped[key] = _exchange(array, 1 if array.ndim > 1 else 0, len(config.sources))
            outputs += 1
    if not outputs:
        raise NotDecided("no weights of single channels were found")
    return swapped


def _of_last(state: Mapping[str, Array], key: str) -> str:
    """The pattern of the weights of the last layer of a decoder; in Demucs it has but a number."""
    branch = key.partition(".")[0]
    if branch not in ("decoder", "tdecoder"):
        return ""
    last = max(int(k.split(".")[1]) for k in state if k.startswith(f"{branch}."))
    numbered = re.compile(rf"{branch}\.{last}\.(\d+)\.weight")
    out = max((int(found[1]) for k in state if (found := numbered.fullmatch(k))), default=-1)
    return _OUTPUTS.replace("LAST", str(last)).replace("OUT", str(out))


def _exchange(array: Array, axis: int, sources: int) -> Array:
    moved = np.moveaxis(array, axis, 0)
    parts = moved.reshape(sources, 2, -1, *moved.shape[1:])[:, ::-1]
    return np.ascontiguousarray(np.moveaxis(parts.reshape(moved.shape), 0, axis))
