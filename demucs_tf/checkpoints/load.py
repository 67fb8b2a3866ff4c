"""From a source (a name, an address or a file) to a model."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from os import PathLike
from typing import Any

from demucs_tf.checkpoints.assemble import Device, Make, converted, read_model
from demucs_tf.checkpoints.locate import Located, locate
from demucs_tf.errors import CheckpointError
from demucs_tf.models.bag import Bag, BagOfModels
from demucs_tf.models.ranges import check_dtype


def load_model(
    source: str | PathLike[str],
    repo: str | PathLike[str] | None = None,
    dtype: str = "float32",
    allow_legacy: bool = False,
) -> Any:
    """Load a model, or a bag of models, that TensorFlow runs.

    Arguments, result and errors are those of `demucs_tf.load_model`, which takes exported files as
    well.

    Reference: demucs/pretrained.py::get_model
    """
    check_dtype(dtype)
    return load_located(locate(source, repo, allow_legacy=allow_legacy), dtype)


def load_located(
    found: Located, dtype: str | None, make: Make | None = None, device: Device = nullcontext
) -> Any:
    """Load what `locate` has found; returns and raises as `load_model`.

    Without a `dtype` the model is float64 if the file, or any of a bag's files, is. `make` and
    `device` are those of `read_model`; `make` needs a `dtype`.
    """
    models = {}
    for signature, file in found.files.items():
        with file.being_read() as path:
            models[signature] = read_model(path, dtype, make, device)
    if dtype is None:
        widest = max(model.compute_dtype for model in models.values())  # "float64" > "float32"
        models = {name: converted(model, widest) for name, model in models.items()}
    if found.bag is None:
        (model,) = models.values()
        return model
    return make_bag(found.bag, [models[member] for member in found.bag.models], found.name)


def make_bag(bag: Bag, models: Sequence[Any], about: str) -> BagOfModels:
    """Put loaded models together, in the order of `bag.models`.

    Args:
        about: path or name of the bag, for errors.

    Raises:
        CheckpointError: the models or the weights do not fit each other.
    """
    try:
        return BagOfModels(models, bag.weights, bag.segment)
    except ValueError as error:
        raise CheckpointError(f"{about}: the bag does not fit its models. {error}") from error
