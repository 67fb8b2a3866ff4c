"""`demucs-tf convert`: a model from wherever it is into a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demucs_tf.cli.options import ConvertOptions
from demucs_tf.cli.terminal import logs_on_stderr, print_paths
from demucs_tf.errors import UsageError

if TYPE_CHECKING:
    from demucs_tf.checkpoints.locate import Located

SUFFIXES = (".safetensors", ".keras", ".yaml")


def run(options: ConvertOptions) -> int:
    """Convert.

    Raises:
        UsageError: OUT has a suffix of no format, or can't hold what IN is.
        DemucsTFError: IN can't be loaded, or OUT can't be written.
    """
    if options.target.suffix not in SUFFIXES:
        raise UsageError(
            f"OUT must end in one of {', '.join(SUFFIXES)}, got {str(options.target)!r}."
        )
    _check_target(options.target, force=options.force)

    from demucs_tf.checkpoints.load import load_located
    from demucs_tf.checkpoints.locate import locate
    from demucs_tf.errors import CheckpointError

    with logs_on_stderr():
        found = locate(options.source, options.repo, allow_legacy=options.allow_legacy)
        _check_kind(found, options.target)
        model = load_located(found, options.dtype)
    try:
        written = _save(model, options.target)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{options.target}: can't write it: {error}") from error
    print_paths(written)
    return 0


def _check_target(path: Path, *, force: bool) -> None:
    """CheckpointError if OUT can't be written; found out before the costly part."""
    from demucs_tf.errors import CheckpointError

    if path.is_dir():
        raise CheckpointError(f"{path}: wanted the path of a file to write, found a folder.")
    if path.exists() and not force:
        raise CheckpointError(f"{path}: is there already. Choose another OUT, or give --force.")
    if not path.parent.is_dir():
        raise CheckpointError(f"{path}: there is no folder {path.parent}. Make it first.")
    if not os.access(path.parent, os.W_OK):
        raise CheckpointError(f"{path}: the folder {path.parent} is not writable.")


def _check_kind(found: Located, target: Path) -> None:
    members = len(found.bag.models) if found.bag else 1
    if members > 1 and target.suffix != ".yaml":
        raise UsageError(
            f"{found.name} is a bag of {members} models, and a {target.suffix} file holds one. "
            "Give an OUT that ends in .yaml."
        )


def _save(model: Any, path: Path) -> list[Path]:
    """Save a model; return the files."""
    from demucs_tf.checkpoints.formats.bag_yaml import read_bag
    from demucs_tf.checkpoints.save import save_model

    save_model(model, path)
    if path.suffix != ".yaml":
        return [path]
    members = dict.fromkeys(read_bag(path).models)
    return [path, *(path.with_name(f"{member}.safetensors") for member in members)]
