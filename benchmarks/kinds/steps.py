"""Steps without a module: both sides on the same numbers, and their outputs in one layout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.kinds import sides
from parity.core import layouts
from parity.core.compare import Array

SPECTRUM = "BAFTR>BFTAR"
SOURCES = "BSAFTR>BFTSAR"


@dataclass(frozen=True)
class Pair:
    """Both sides of a layer or a step; `layout` is that of the output, see parity.core.layouts."""

    theirs: Callable[[], Array]
    ours: Callable[[], Array]
    layout: str = ""
    flop: float | None = None


def _stft(model: str) -> Pair:
    import tensorflow as tf
    import torch

    module, port, mix = sides.the_reference(model), sides.the_port(model), sides.chunk(model)
    wave, tensor = torch.from_numpy(mix), tf.constant(mix)
    graph = tf.function(port._spec, autograph=False)
    return Pair(
        lambda: torch.view_as_real(module._spec(wave)).numpy(),
        lambda: graph(tensor).numpy(),
        SPECTRUM,
    )


def _istft(model: str) -> Pair:
    import tensorflow as tf
    import torch

    module, port, mix = sides.the_reference(model), sides.the_port(model), sides.chunk(model)
    length = mix.shape[-1]
    stems = torch.from_numpy(np.stack([mix * (n + 1) for n in range(4)], axis=1))
    spectra = torch.stack([module._spec(stems[:, n]) for n in range(4)], dim=1)
    tensor = tf.constant(layouts.to_port(torch.view_as_real(spectra).numpy(), SOURCES))
    graph = tf.function(lambda z: port._ispec(z, length), autograph=False)
    return Pair(lambda: module._ispec(spectra, length).numpy(), lambda: graph(tensor).numpy())


def _resample(model: str) -> Pair:
    """As the model does it: to twice its rate."""
    import tensorflow as tf
    import torch
    from julius import resample_frac

    from demucs_tf.layers.resample import resample_frac as ours

    mix: Array = sides.chunk(model)
    wave, tensor = torch.from_numpy(mix), tf.constant(mix)
    graph = tf.function(lambda x: ours(x, 1, 2), autograph=False)
    return Pair(lambda: resample_frac(wave, 1, 2).numpy(), lambda: graph(tensor).numpy())


STEPS: dict[str, Callable[[str], Pair]] = {
    "stft": _stft,
    "istft": _istft,
    "resample": _resample,
}
