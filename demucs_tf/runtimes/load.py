"""From a source (a name, an address, a checkpoint or an exported file) to a model."""

from __future__ import annotations

import os
from importlib import import_module
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from demucs_tf.checkpoints import load
from demucs_tf.checkpoints.sources.published import BAGS, LEGACY_FILES
from demucs_tf.errors import ExportError
from demucs_tf.export.files import MANIFEST, read_manifest, read_metadata
from demucs_tf.models.bag import BagOfModels
from demucs_tf.runtimes.model import ExportedModel, Turns, exported_model
from demucs_tf.utils.text import printable

# Suffix -> the engine, which is also the extra of this package, the class, and what it needs.
RUNTIMES = {
    ".tflite": ("litert", "demucs_tf.runtimes.litert", "LiteRT", "ai-edge-litert"),
    ".onnx": ("onnx", "demucs_tf.runtimes.onnx", "OnnxRuntime", "onnxruntime"),
}
_SAVED_MODEL = "saved_model.pb"


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
              in the same folder, named by their signatures);
            - the path of an exported file, `.tflite` or `.onnx`, or of a bag's exported folder or
              its `manifest.json`: they run in their own runtime, without TensorFlow.
        repo: a folder to look for names and signatures in, instead of the published models:
            `NAME.yaml`, and `SIGNATURE.th` or `.safetensors` with or without `-CHECKSUM`, the
            start of its SHA-256, before the suffix.
        dtype: "float32" or "float64" (the strict mode), whatever the files hold.
        allow_legacy: whether the legacy host is asked when the hub fails.

    Returns:
        a `DemucsTF`, `HDemucsTF` or `HTDemucsTF`, with the file's configuration and weights, or of
        an exported file a model with the same attributes and a call on arrays; or a `BagOfModels`
        of them, in which a member that the bag names twice is one object.

    Raises:
        ModelNotFoundError: there is no such file, name or member of a bag, or no source that can
            be reached has it.
        CheckpointError: a file is damaged, unsafe, not what it was at its first use, or does not
            fit the class or the bag that it is of.
        ExportError: an exported file is damaged, changed, of another version, or its runtime is
            not installed.
        ValueError: `dtype` is something else, or "float64" for an exported file.

    Reference: demucs/pretrained.py::get_model
    """
    path = exported_path(source)
    if path is None:
        return load.load_model(source, repo, dtype, allow_legacy)
    if dtype != "float32":
        raise ValueError(f'an exported file computes in float32, got dtype "{dtype}".')
    return load_exported(path)


def exported_path(source: str | PathLike[str]) -> Path | None:
    """The exported file, or the folder of an exported bag, that is meant; None: something else."""
    path = Path(fspath(source))
    if path.suffix.lower() in RUNTIMES:
        return path
    if path.name == MANIFEST:
        return path.parent
    is_name = isinstance(source, str) and source in (*BAGS, *LEGACY_FILES)
    if not is_name and any(os.path.isfile(path / name) for name in (MANIFEST, _SAVED_MODEL)):
        return path
    return None


def load_exported(path: Path, threads: int | None = None) -> ExportedModel | BagOfModels:
    """Load an exported file, or a bag's folder.

    Args:
        path: of the file or the folder.
        threads: that work on one input; None: one for each processor that this process may use.

    Raises:
        ModelNotFoundError: there is no such file, or a member of the bag is missing.
        ExportError: see `load_model`.
    """
    if path.suffix.lower() in RUNTIMES and not path.is_dir():
        return _load_file(path, threads or _processors())
    if (path / _SAVED_MODEL).is_file():
        raise ExportError(
            f"{path}: expected a .tflite or .onnx file or the folder of a bag, found a SavedModel, "
            "which needs TensorFlow alone: see examples/saved_model_numpy.py, or give the "
            "checkpoint that it was made of."
        )
    manifest = read_manifest(path)
    turns = Turns()  # members run one after the other
    models = {
        member.file: _load_file(path / member.file, threads or _processors(), turns)
        for member in dict.fromkeys(manifest.members)
    }
    members = [models[member.file] for member in manifest.members]
    try:
        bag = BagOfModels(members, manifest.weights_table)
    except ValueError as error:
        raise ExportError(f"{path}: the bag does not fit its models. {error}") from error
    if tuple(bag.sources) != manifest.sources:
        raise ExportError(
            f"{path}: expected models for {', '.join(manifest.sources)}, as the manifest says, "
            f"found {', '.join(bag.sources)}. Export the bag again."
        )
    return bag


def _load_file(path: Path, threads: int, turns: Turns | None = None) -> ExportedModel:
    metadata = read_metadata(path)
    if path.suffix.lower() not in RUNTIMES:
        raise ExportError(f"{path}: expected a .tflite or .onnx file, found a SavedModel.")
    engine, module, name, package = RUNTIMES[path.suffix.lower()]
    try:
        run = getattr(import_module(module), name)(path, metadata, threads)
    except ImportError as error:
        raise ExportError(
            f"{path}: {package} is needed to run it, and is not there ({error}): "
            f"pip install 'demucs-tf[{engine}]'."
        ) from error
    except Exception as error:  # whatever the runtime finds wrong
        raise ExportError(
            f"{path}: {package} can't load it ({printable(str(error), 300)}). Export the model "
            f"again, or install a newer {package}."
        ) from error
    return exported_model(metadata, engine, turns(run) if turns else run)


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
