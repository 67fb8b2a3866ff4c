"""Both sides of a model, each as a function from a mixture to stems: the whole Separator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from demucs_tf.models.presets import PRESETS
from parity.cases import Case
from parity.core.result import ParityError
from parity.demucs.own import both_sides
from parity.demucs.whole_track import KEY, WholeTrack, apply_reference
from parity.music.instruments import RATE
from parity.run import make_port, make_reference

Array = npt.NDArray[Any]
# Chunks overlap, no random shifts, and the level of the track is taken out, as the Separator does.
NAMES = tuple(PRESETS)
APPLY: dict[str, Any] = {"track": True, "shifts": 0}


@dataclass(frozen=True)
class Sides:
    """A model's name, its stems, and what makes each side; one is in memory at a time."""

    name: str
    sources: tuple[str, ...]
    reference: Callable[[], Any]
    port: Callable[[], Any]

    def run(self, side: str, mixtures: Sequence[Array]) -> list[Array]:
        """What a side makes of mixtures (2, T): (S, 2, T) each, float32.

        Sides are "reference", "port", and "wide": the reference in float64.
        """
        make, function = {
            "reference": (self.reference, _reference),
            "wide": (self.reference, _wide),
            "port": (self.port, _port),
        }[side]
        model = make()
        return [np.asarray(function(model, mixture[None])[0]) for mixture in mixtures]


def _reference(module: Any, mix: Array) -> Array:
    import torch

    mix = torch.from_numpy(mix.astype(np.float32))
    return apply_reference(module.to(torch.float32), mix, APPLY)


def _wide(module: Any, mix: Array) -> Array:
    import torch

    mix = torch.from_numpy(mix.astype(np.float64))
    return apply_reference(module.to(torch.float64), mix, APPLY)


def _port(model: Any, mix: Array) -> Array:
    whole = WholeTrack(Case("", {}, mix.shape[-1], apply=APPLY))
    return np.asarray(whole.outputs(model, mix.astype(np.float32))[KEY][0])


def of_case(case: Case) -> Sides:
    """A case's model with its seeded weights of order 1."""
    return Sides(
        case.name,
        tuple(case.config["sources"]),
        lambda: make_reference(case),
        lambda: make_port(case, "float32"),
    )


def check_preset(name: str) -> None:
    """Raise ParityError unless there is a published configuration of that name."""
    if name not in PRESETS:
        raise ParityError(f"--preset: no {name!r}; there are {', '.join(PRESETS)}.")


def of_preset(name: str) -> Sides:
    """A published configuration at its full size, with seeded weights of order 1.

    Raises:
        ParityError: there is none of that name.
    """
    check_preset(name)
    preset = PRESETS[name]
    config = {"sources": list(preset.sources), **preset.arguments}
    return of_case(Case(name, config, 1, reference=preset.klass, stored="live", full=True))


def of_checkpoint(path: Path) -> Sides:
    """A `.th` or `.safetensors` file of a user's.

    Raises:
        ParityError: the reference makes no model of it, or it is not for stereo at 44,100 Hz.
        DemucsTFError: it is missing, damaged or unsafe.
    """
    if path.suffix not in (".th", ".safetensors"):
        raise ParityError(f"--checkpoint: expected a .th or .safetensors file, found {path}.")
    ports, module = both_sides(path, ["float32"])
    port = ports["float32"]
    if (port.audio_channels, port.samplerate) != (2, RATE):
        raise ParityError(
            f"{path}: scenes are stereo at {RATE} Hz, the model is for {port.audio_channels} "
            f"channels at {port.samplerate} Hz: choose another checkpoint."
        )
    return Sides(path.name, tuple(port.sources), lambda: module, lambda: port)
