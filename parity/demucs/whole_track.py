"""Cases that look at a whole track: chunks, shifts, overlap, and the level of the track.

Layers that match do not make a port that matches. These compare what `apply_model`, or with
`track` the Separator around it, makes of a model.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.cases.case import Case
from parity.core.capture.port import Outputs
from parity.core.compare import relative_l2
from parity.core.events import Event, Expected
from parity.core.machine.mkl import common_exponential
from parity.core.seeding import SEED, seeded_random
from parity.demucs.arguments import of_reference

Array = npt.NDArray[Any]
KEY = ("", 0)
# Options of a case that `apply_model` and the Separator do not know. "track": the Separator is
# looked at. "bag": the weights of a bag; its members are the case's model with all parameters
# multiplied by 1, 1.1, 1.2 ..., so that each gives something else.
_OURS = ("track", "bag")


@dataclass(frozen=True)
class WholeTrack:
    """A case of `apply_model` or of the Separator."""

    case: Case

    @common_exponential()
    def capture(self, module: Any, mix: Array) -> Expected:
        """What the reference's gives, in float64, with its float32 floor."""
        import torch

        from parity.core.capture.statements import environment

        mix = mix.astype(np.float32).astype(np.float64)
        state = {key: value.numpy().copy() for key, value in module.state_dict().items()}
        wide, narrow = (
            apply_reference(module.to(dtype), torch.from_numpy(mix).to(dtype), self.case.apply)
            for dtype in (torch.float64, torch.float32)
        )
        floor = relative_l2(narrow, wide)
        owner = "Separator" if self.case.apply.get("track") else "apply_model"
        source = "demucs/api.py" if self.case.apply.get("track") else "demucs/apply.py"
        return Expected(
            reference=self.case.reference,
            mix=mix,
            events=[
                Event("", 0, "module", owner, source, [mix], [wide], None, [floor], [floor]),
            ],
            state=state,
            buffers=tuple(name for name, _ in module.named_buffers()),
            leaves=("",),
            environment=environment(("demucs",)),
            arguments=of_reference(module),
        )

    def outputs(self, port: Any, mix: Array) -> Outputs:
        """What the port's gives."""
        from demucs_tf.inference import apply
        from demucs_tf.inference.separator import Separator

        options = self.case.apply
        given = {key: value for key, value in options.items() if key not in _OURS}
        if "bag" in options:
            port = _bag_of_ports(port, options["bag"])
        mix = mix.astype(port.compute_dtype)
        if not options.get("track"):
            return {KEY: [apply.apply_model(port, mix, **given, seed=SEED)]}
        _, stems = Separator(port, **given, seed=SEED).separate_tensor(mix[0])
        return {KEY: [np.stack(list(stems.values()))[None]]}

    def borders(self, port: Any, mix: Array) -> Sequence[int]:
        """Where chunks begin, but the first; with shifts these lie elsewhere in each."""
        from demucs_tf.inference.settings import Settings
        from demucs_tf.inference.single import segment_and_stride

        known = {"split", "segment", "overlap", "shifts"}
        given = {key: value for key, value in self.case.apply.items() if key in known}
        settings = Settings(**given)
        if not settings.split or settings.shifts:
            return ()
        _, stride = segment_and_stride(port, settings)
        return range(stride, mix.shape[-1], stride)


def of(case: Case) -> WholeTrack | None:
    """What captures and runs a case of a whole track; None for any other."""
    return WholeTrack(case) if case.apply else None


def apply_reference(module: Any, mix: Any, options: Mapping[str, Any]) -> Array:
    """What the reference's `apply_model` or Separator makes of a tensor (B, A, T)."""
    import torch

    given = {key: value for key, value in options.items() if key not in _OURS}
    if "bag" in options:
        module = _bag_of_reference(module, options["bag"])
    with torch.no_grad(), seeded_random():
        if not options.get("track"):
            apply_model = importlib.import_module("demucs.apply").apply_model
            return np.array(apply_model(module, mix, **given))
        api = importlib.import_module("demucs.api")

        class Loaded(api.Separator):  # type: ignore[name-defined]
            def _load_model(self) -> None:
                self._model = module
                self._audio_channels = module.audio_channels
                self._samplerate = module.samplerate

        _, stems = Loaded(device="cpu", **given).separate_tensor(mix[0])
        return np.stack([stems[name].numpy() for name in module.sources])[None]


def _factor(member: int) -> float:
    return 1 + 0.1 * member


def _bag_of_reference(module: Any, weights: list[list[float]]) -> Any:
    members = [copy.deepcopy(module) for _ in weights]
    for index, member in enumerate(members):
        for parameter in member.parameters():
            parameter.data *= _factor(index)
    return importlib.import_module("demucs.apply").BagOfModels(members, weights)


def _bag_of_ports(model: Any, weights: list[list[float]]) -> Any:
    from demucs_tf.models.bag import BagOfModels

    members = [type(model).from_config(model.get_config()) for _ in weights]
    for index, member in enumerate(members):
        for own, variable in zip(member.variables, model.variables, strict=True):
            own.assign(np.asarray(variable) * np.asarray(variable).dtype.type(_factor(index)))
    return BagOfModels(members, weights)
