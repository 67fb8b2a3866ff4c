"""The whole of an export: what is asked is checked first, and files appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demucs_tf.errors import ExportError
from demucs_tf.export import files
from demucs_tf.export.metadata import UNKNOWN_LICENCE, Manifest, Member, Metadata
from demucs_tf.utils.text import brief, reason_of
from demucs_tf.utils.work_folder import work_folder

if TYPE_CHECKING:
    from demucs_tf.models.bag import BagOfModels
    from demucs_tf.models.base import Model


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
    """

    suffix: str
    writer: str
    describe: Callable[[Path, Metadata], None]
    weights: tuple[str, ...]
    advice: str = ""
    needs: tuple[str, ...] = ()


FORMATS = {
    "saved-model": Format(
        "",
        "demucs_tf.export.saved_model",
        files.add_to_saved_model,
        ("float32",),
        "a SavedModel keeps the weights as they are: export as tflite, or with float32",
    ),
    "tflite": Format(
        ".tflite",
        "demucs_tf.export.tflite",
        files.add_to_tflite,
        ("float32", "float16", "int8"),
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


def export_model(
    model: Model | BagOfModels,
    path: str | PathLike[str],
    format: str,
    length: float | None = None,
    weights: str = "float32",
    fuse: bool = False,
    force: bool = False,
    name: str | None = None,
    licence: str | None = None,
) -> list[Path]:
    """Export a model for another runtime: a waveform in, its stems out.

    Args:
        model: a float32 `DemucsTF`, `HDemucsTF` or `HTDemucsTF`, or a bag of them. A bag of several
            becomes a folder with a file for each member and a `manifest.json`.
        path: of what is written: a `.tflite` or `.onnx` file, or a folder. The folder that it lies
            in has to exist.
        format: "saved-model" ("tf_saved_model"), "tflite" ("litert") or "onnx".
        length: seconds of a chunk; None: the model's own segment.
        weights: "float32"; "float16" for tflite and onnx; "int8" for tflite.
        fuse: make one graph of a bag, which runs all of its members.
        force: replace what is at `path`.
        name: what the model is called, kept in the file.
        licence: of the weights, kept in the file.

    Returns:
        the paths of what was written, for a bag's folder the manifest first.

    Raises:
        ExportError: an argument out of range, a model that can't be exported so, a target that
            exists or can't be written, or a missing package.
    """
    target, kind = Path(path), check_request(path, format, weights, force)
    from demucs_tf.export import graph

    graph.check(model)
    parts = _parts(model, fuse)
    _check_suffix(target, kind.suffix, len(parts))
    about = {"name": name, "licence": licence or UNKNOWN_LICENCE, "weights": weights}
    try:
        with work_folder(target.parent) as folder:
            made = folder / f"model{kind.suffix if len(parts) == 1 else ''}"
            if len(parts) == 1:
                _write(parts[0], made, kind, length, about)
            else:
                _write_folder(model, made, kind, length, about)
            written = sorted(made.glob("*.*")) if len(parts) > 1 else []
            _move(made, target, folder)
    except OSError as error:
        raise ExportError(f"{target}: can't write it: {reason_of(error)}.") from error
    paths = [target / each.name for each in written]
    return sorted(paths, key=lambda path: path.name != files.MANIFEST) or [target]


def _parts(model: Any, fuse: bool) -> list[Any]:
    """What becomes a file each."""
    from demucs_tf.models.bag import BagOfModels

    if not isinstance(model, BagOfModels):
        return [model]
    if len(model.models) == 1:
        return [model.models[0]]
    return [model] if fuse else list(model.models)


def _write(model: Any, path: Path, kind: Format, seconds: float | None, about: Any) -> Metadata:
    """Write one file with its data."""
    from demucs_tf.export import graph
    from demucs_tf.export.lengths import lengths_of

    lengths = lengths_of(model, seconds)
    metadata = Metadata(
        model=type(model).__name__,
        sources=tuple(model.sources),
        samplerate=model.samplerate,
        audio_channels=model.audio_channels,
        segment=lengths.segment,
        length=lengths.length,
        valid_length=lengths.valid_length,
        training_length=lengths.training_length,
        any_length=kind.suffix == "",
        weights_sha256=graph.weights_sha256(model),
        **about,
    )
    import_module(kind.writer).write(model, path, lengths, about["weights"])
    kind.describe(path, metadata)
    return metadata


def _write_folder(bag: BagOfModels, path: Path, kind: Format, seconds: Any, about: Any) -> None:
    """Write a file for each member, and the manifest."""
    path.mkdir()
    members: dict[int, Member] = {}  # a model may be in a bag twice
    segments = set()
    for index, model in enumerate(bag.models):
        if id(model) in members:
            continue
        made = path / f"member{kind.suffix}"
        metadata = _write(model, made, kind, seconds, about)
        segments.add(metadata.segment)
        file = made.rename(path / f"{index}-{metadata.weights_sha256[:8]}{kind.suffix}")
        members[id(model)] = Member(file.name, files.checksum_of(file))
    manifest = Manifest(
        sources=tuple(bag.sources),
        samplerate=bag.samplerate,
        audio_channels=bag.audio_channels,
        weights_table=tuple(tuple(row) for row in bag.weights),
        members=tuple(members[id(model)] for model in bag.models),
        segment=segments.pop() if len(segments) == 1 else None,
        name=about["name"],
    )
    (path / files.MANIFEST).write_bytes(manifest.to_json())


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


def _check_suffix(path: Path, suffix: str, parts: int) -> None:
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


def _move(made: Path, target: Path, folder: Path) -> None:
    """Put what was made in the target's place."""
    if not target.is_dir():
        os.replace(made, target)
        return
    old = target.rename(folder / "old")
    try:
        made.rename(target)
    except BaseException:
        old.rename(target)
        raise
