"""From a model to a file: the reference's present format, Keras's, or a folder with a bag."""

from __future__ import annotations

import json
import os
import struct
import tempfile
from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demucs_tf.checkpoints.sources.checksums import sha256
from demucs_tf.utils.atomic import write_whole

if TYPE_CHECKING:
    from demucs_tf.models.bag import BagOfModels
    from demucs_tf.models.base import Model

_OFFERED = (
    ".safetensors (demucs 4.1 reads it back), .keras, or, for a bag of models, .yaml with a "
    ".safetensors file for each model beside it"
)


def save_model(model: Model | BagOfModels, path: str | PathLike[str]) -> None:
    """Save a model, losing nothing of its weights, and replace what is at `path` only at the end.

    - `.safetensors`: what demucs 4.1 publishes and reads (`demucs.hf.load_safetensors_model`), with
      the present `segment` and every constructor argument of the reference. `stft`, which the
      reference does not have, is not kept. The same model gives the same bytes.
    - `.keras`: what the model's own `save` writes, with the present `segment`. Keras puts the time
      into it, so its bytes differ each time.
    - `.yaml`: a bag. Each model becomes a `.safetensors` file in the same folder, named by the
      first eight digits of its SHA-256, and the list of them, with the weights of the bag, is
      written last.

    Args:
        model: a `DemucsTF`, `HDemucsTF` or `HTDemucsTF`, or a `BagOfModels`. A bag of one model can
            be saved as that model.
        path: of the file. Its folder has to exist.

    Raises:
        ValueError: another suffix, several models for one file, or no model of ours.
        OSError: the folder is missing or not writable, or the disk is full.

    Reference: demucs/hf.py::load_safetensors_model
    """
    from demucs_tf.models.bag import BagOfModels

    path = Path(path)
    if path.suffix not in (".safetensors", ".keras", ".yaml"):
        raise ValueError(f"save_model writes {_OFFERED}; got {str(path)!r}.")
    if path.suffix == ".yaml":
        _save_bag(model if isinstance(model, BagOfModels) else BagOfModels([model]), path)
        return
    single = _only_model(model, path) if isinstance(model, BagOfModels) else model
    _check_ours(single)
    with write_whole(path) as temporary:
        if path.suffix == ".keras":
            single.save(temporary)
        else:
            _save_safetensors(single, temporary)


def _only_model(bag: BagOfModels, path: Path) -> Model:
    if len(bag.models) > 1:
        raise ValueError(
            f"{path.name} holds one model and this is a bag of {len(bag.models)}: save it as "
            f"{path.with_suffix('.yaml').name}."
        )
    model: Model = bag.models[0]
    return model


def _save_safetensors(model: Model, path: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    from demucs_tf.checkpoints.weights import read_state

    metadata = {
        "klass": model.config.reference,
        "args": "[]",
        "kwargs": json.dumps(_reference_arguments(model), default=_encoded),
    }
    try:
        save_file(read_state(model), path, metadata=metadata)
    except SafetensorError as error:  # of a full disk, which is all that can go wrong here
        raise OSError(str(error)) from error
    _sort_header(path)


def _check_ours(model: Model) -> None:
    from demucs_tf.models.ports import PORTS

    if type(model) not in PORTS.values():
        raise ValueError(f"save_model takes one of our models, got a {type(model).__name__}.")


def _reference_arguments(model: Model) -> dict[str, Any]:
    """The arguments that the reference has as well, with the present `segment`."""
    return {name: getattr(model.config, name) for name in model.config.names()}


def _encoded(fraction: Fraction) -> dict[str, Any]:
    """A fraction, the one thing for which JSON has no notation, as the reference writes it."""
    return {
        "_type": "fraction",
        "numerator": fraction.numerator,
        "denominator": fraction.denominator,
    }


def _sort_header(path: Path) -> None:
    """Put the header's entries in order: the library writes the metadata in a random one."""
    with path.open("r+b") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        metadata = header.pop("__metadata__")
        ordered = {"__metadata__": dict(sorted(metadata.items())), **header}
        text = json.dumps(ordered, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) > length:
            raise ValueError("The header of a .safetensors file grew while it was put in order.")
        file.seek(8)
        file.write(text.ljust(length))


def _save_bag(bag: BagOfModels, path: Path) -> None:
    from demucs_tf.checkpoints.formats.bag_yaml import bag_text
    from demucs_tf.models.bag import Bag

    signatures: dict[int, str] = {}  # a model may be in a bag twice
    for model in bag.models:
        if id(model) not in signatures:
            signatures[id(model)] = _save_member(model, path.parent)
    # No `segment`: each model keeps its own.
    content = Bag(
        tuple(signatures[id(model)] for model in bag.models),
        tuple(tuple(row) for row in bag.weights),
    )
    with write_whole(path) as temporary:
        temporary.write_text(bag_text(content), encoding="utf-8")


def _save_member(model: Model, folder: Path) -> str:
    """Save one model under the start of its checksum; return that."""
    with tempfile.TemporaryDirectory(prefix=".saving-", dir=folder) as temporary:
        file = Path(temporary) / "member.safetensors"
        with write_whole(file) as part:
            _save_safetensors(model, part)
        signature = sha256(file)[:8]
        os.replace(file, folder / f"{signature}.safetensors")
    return signature
