"""The formats, and what is found out about an export before the costly part."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from demucs_tf.errors import ExportError
from demucs_tf.export import files
from demucs_tf.export.metadata import Metadata
from demucs_tf.utils.text import brief


@dataclass(frozen=True)
class Format:
    """A format that models can be exported to.

    Attributes:
        suffix: of its files; "": it is a folder.
        writer: the module whose `write` makes one.
        describe: puts the data about the model into what was written.
        weights: which it takes.
        advice: what to do for others.
        needs: modules that it takes besides TensorFlow.
        any_length: whether its graphs take any T: "always", or wherever the model "can".
        attends: whether a graph of any T may have a transformer, where one is asked for.
    """

    suffix: str
    writer: str
    describe: Callable[[Path, Metadata], None]
    weights: tuple[str, ...]
    advice: str = ""
    needs: tuple[str, ...] = ()
    any_length: Literal["always", "can"] = "can"
    attends: bool = True


FORMATS = {
    "saved-model": Format(
        "",
        "demucs_tf.export.saved_model",
        files.add_to_saved_model,
        ("float32",),
        "a SavedModel keeps the weights as they are: export as tflite, or with float32",
        any_length="always",
    ),
    "tflite": Format(
        ".tflite",
        "demucs_tf.export.tflite",
        files.add_to_tflite,
        ("float32", "float16", "int8"),
        attends=False,
    ),
    "onnx": Format(
        ".onnx",
        "demucs_tf.export.onnx",
        files.add_to_onnx,
        ("float32", "float16"),
        "export as tflite, or with float16; onnxruntime.quantization makes int8 of the file",
        needs=("onnx", "tf2onnx"),
    ),
}
_FILES = (".tflite", ".onnx")  # what has another suffix is a folder
_ALIASES = {"tf_saved_model": "saved-model", "litert": "tflite"}


def check_request(path: str | PathLike[str], format: str, weights: str, force: bool) -> Format:
    """Find out what can't be, as far as that takes no model; see `export_model`.

    Raises:
        ExportError: see there.
    """
    known = FORMATS.get(_ALIASES.get(format, format))
    if known is None:
        raise ExportError(f"format must be one of {', '.join(FORMATS)}, got {brief(format)}.")
    _check_weights(known, format, weights)
    target = Path(path)
    if target.exists():
        _check_there(target, force)
    if not target.parent.is_dir():
        raise ExportError(f"{target}: there is no folder {target.parent}. Make it first.")
    if not os.access(target.parent, os.W_OK):
        raise ExportError(f"{target}: the folder {target.parent} is not writable.")
    _check_packages(known)
    return known


def takes_any_length(kind: Format, model: Any, asked: bool | None) -> bool:
    """Whether a file is to take any length.

    Args:
        kind: of the file.
        model: a model or a bag.
        asked: what the caller wants; None: whatever is best.

    Raises:
        ExportError: it is asked for, and can't be.
    """
    from demucs_tf.export.lengths import only_length, why_one_length

    if kind.any_length == "always":  # but a bag's graph has no single length to pad to
        return not hasattr(model, "models") or only_length(model) is None
    # A transformer takes longer in a graph of any length, so that is for those who want one.
    reason = why_one_length(model, kind.attends and asked is True)
    if asked and reason is not None:
        raise ExportError(f"any length can't be with a model that {reason}: leave it out.")
    return asked is not False and reason is None


def _check_weights(kind: Format, name: str, weights: str) -> None:
    offered = {each for format in FORMATS.values() for each in format.weights}
    if weights not in offered:
        raise ExportError(f"weights must be float32, float16 or int8, got {brief(weights)}.")
    if weights not in kind.weights:
        raise ExportError(f"weights can't be {weights} in {name}: {kind.advice}.")


def _check_packages(kind: Format) -> None:
    for package in kind.needs:
        try:
            import_module(package)
        except ImportError as error:
            raise ExportError(
                f"the package {package} is needed for this format ({error}): "
                "pip install 'demucs-tf[export]'"
            ) from error


def check_suffix(path: Path, suffix: str, parts: int) -> None:
    """Refuse a path that can't be of what is to be written, which has so many `parts`.

    Raises:
        ExportError: it can't.
    """
    is_file = path.suffix in _FILES
    if parts > 1 and is_file:
        raise ExportError(
            f"{path}: a file holds one model, and this is a bag of {parts}: give the path of a "
            "folder, or fuse the bag (--fuse)."
        )
    if parts == 1 and suffix and path.suffix != suffix:
        raise ExportError(f"{path}: expected a path that ends in {suffix}.")
    if is_file and not suffix:
        raise ExportError(f"{path}: expected the path of a folder, or another format.")


def _check_there(path: Path, force: bool) -> None:
    if not force:
        raise ExportError(f"{path}: is there already. Choose another path, or give --force.")
    if path.is_dir() == (path.suffix in _FILES):
        found = "a folder" if path.is_dir() else "a file"
        raise ExportError(f"{path}: is {found}, and would become another thing. Remove it first.")
    ours = (files.MANIFEST, "saved_model.pb")
    if path.is_dir() and any(path.iterdir()) and not any((path / each).is_file() for each in ours):
        raise ExportError(f"{path}: is a folder with something else in it. Choose another path.")
