"""The whole of an export: what is asked is checked first, and files appear whole or not at all."""

from __future__ import annotations

import os
from dataclasses import replace
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demucs_tf.errors import ExportError
from demucs_tf.export import files
from demucs_tf.export.metadata import UNKNOWN_LICENCE, Manifest, Member, Metadata
from demucs_tf.export.request import Format, check_request, check_suffix, takes_any_length
from demucs_tf.utils.text import reason_of
from demucs_tf.utils.work_folder import work_folder

if TYPE_CHECKING:
    from demucs_tf.models.bag import BagOfModels
    from demucs_tf.models.base import Model


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
    any_length: bool | None = None,
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
        any_length: let the file take any length, as the shorter last chunk of a track wants it.
            None: it does wherever the model does, which a model with a transformer rarely can: in
            an ONNX file the one graph, in a LiteRT file a graph beside the one that is fast. A
            SavedModel has a signature for that anyway.

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
    check_suffix(target, kind.suffix, len(parts))
    for part in parts:
        takes_any_length(kind, part, any_length)
    about = {
        "name": name,
        "licence": licence or UNKNOWN_LICENCE,
        "weights": weights,
        "any_length": any_length,
    }
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

    any_length = takes_any_length(kind, model, about["any_length"])
    lengths = replace(lengths_of(model, seconds), any_length=any_length)
    metadata = Metadata(
        model=type(model).__name__,
        sources=tuple(model.sources),
        samplerate=model.samplerate,
        audio_channels=model.audio_channels,
        segment=lengths.segment,
        length=lengths.length,
        valid_length=lengths.valid_length,
        training_length=lengths.training_length,
        weights_sha256=graph.weights_sha256(model),
        **{**about, "any_length": any_length},
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
