"""From a source (a name, an address or a file) to a model."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

from demucs_tf.checkpoints.assemble import converted, read_model
from demucs_tf.checkpoints.locate import Located, locate
from demucs_tf.errors import CheckpointError
from demucs_tf.models.bag import Bag, BagOfModels


def load_model(
    source: str | PathLike[str],
    repo: str | PathLike[str] | None = None,
    dtype: str = "float32",
    allow_legacy: bool = False,
) -> Any:
    """Load a model, or a bag of models, by its name or from a file.

    A published name or signature is looked for on the Hugging Face hub, through huggingface_hub
    with its cache and its settings, and then, only with `allow_legacy`, on the host where the
    reference's `.th` packages used to be. Where the files come from is logged (logger
    "demucs_tf", level INFO), and that one source failed before the next is tried (WARNING). The
    SHA-256 of each download is recorded when it is first used, and checked whenever it is used
    again.

    Args:
        source: one of

            - a published name, "htdemucs", which is a bag, if only of one model;
            - the signature of a published model, "955717e8";
            - "hf://NAMESPACE/NAME" or "hf://NAME", a bag on the Hugging Face hub;
            - the path of a file: `.th` (a package of the reference), `.safetensors` (as on the
              hub), `.keras` (which a model's `save` wrote), or `.yaml` (a bag, whose models lie
              in the same folder, named by their signatures).
        repo: a folder to look for names and signatures in, instead of the published models:
            `NAME.yaml`, and `SIGNATURE.th` or `.safetensors` with or without `-CHECKSUM`, the
            start of its SHA-256, before the suffix.
        dtype: "float32" or "float64" (the strict mode), whatever the files hold.
        allow_legacy: whether the legacy host is asked when the hub fails.

    Returns:
        a `DemucsTF`, `HDemucsTF` or `HTDemucsTF`, with the file's configuration and weights; or a
        `BagOfModels` of them, in which a member that the bag names twice is one object.

    Raises:
        ModelNotFoundError: there is no such file, name or member of a bag, or no source that can
            be reached has it.
        CheckpointError: a file is damaged, unsafe, not what it was at its first use, or does not
            fit the class or the bag that it is of.
        ValueError: `dtype` is something else.

    Reference: demucs/pretrained.py::get_model
    """
    if dtype not in ("float32", "float64"):
        raise ValueError(f'dtype must be "float32" or "float64", got {dtype!r}.')
    return load_located(locate(source, repo, allow_legacy=allow_legacy), dtype)


def load_located(found: Located, dtype: str | None) -> Any:
    """Load what `locate` has found; returns and raises as `load_model`.

    Without a `dtype` the model is float64 if the file, or any of a bag's files, is.
    """
    models = {}
    for signature, file in found.files.items():
        with file.being_read() as path:
            models[signature] = read_model(path, dtype)
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
