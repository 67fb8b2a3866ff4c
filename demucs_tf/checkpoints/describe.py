"""What a checkpoint holds, told without making a model of it where that can be had."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demucs_tf.checkpoints.assemble import PACKAGES, read_model
from demucs_tf.checkpoints.formats.diffq_state import Quantized
from demucs_tf.checkpoints.formats.torch_package import Package
from demucs_tf.models.config import CONFIGS

if TYPE_CHECKING:
    from demucs_tf.models.base import Model


@dataclass(frozen=True)
class Description:
    """What a checkpoint holds.

    Attributes:
        klass: the reference's class, "demucs.htdemucs.HTDemucs".
        arguments: of its constructor, as far as the file has them, by name.
        sources: names of the stems.
        samplerate: Hz.
        segment: seconds, a number or a fraction.
        weights: how many numbers; None: not known before they are unpacked.
        dtype: "float32" or "float64": what the weights are, half precision widened.
        packed: whether diffq has packed them.
    """

    klass: str
    arguments: dict[str, object]
    sources: list[str]
    samplerate: Any
    segment: Any
    weights: int | None
    dtype: str
    packed: bool = False


def describe(path: Path) -> Description:
    """Describe a `.th`, `.safetensors` or `.keras` file; TensorFlow is needed for the last only.

    Raises:
        ModelNotFoundError: there is no such file.
        CheckpointError: it is damaged or unsafe.
    """
    if path.suffix in PACKAGES:
        return _of_package(PACKAGES[path.suffix](path))
    return _of_model(read_model(path))


def _of_package(package: Package) -> Description:
    config = CONFIGS[package.klass]
    arguments = {**dict(zip(config.names(), package.args, strict=False)), **package.kwargs}
    known = {**config.defaults(), **arguments}
    sources = known.get("sources")
    state = package.state
    return Description(
        package.klass,
        arguments,
        [str(name) for name in sources] if isinstance(sources, list | tuple) else [],
        known["samplerate"],
        known["segment"],
        None if isinstance(state, Quantized) else sum(array.size for array in state.values()),
        package.dtype,
        isinstance(state, Quantized),
    )


def _of_model(model: Model) -> Description:
    return Description(
        model.config.reference,
        model.config.to_dict(),
        model.sources,
        model.samplerate,
        model.segment,
        model.count_params(),
        model.compute_dtype,
    )
