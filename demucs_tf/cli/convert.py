"""`demucs-tf convert`: a model from wherever it is into a file."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demucs_tf.cli.errors import UsageError
from demucs_tf.utils.quiet import quiet

if TYPE_CHECKING:
    from demucs_tf.checkpoints.sources.locate import Located

SUFFIXES = (".safetensors", ".keras", ".yaml")


def add_command(commands: Any) -> None:
    """Add `convert` with its options."""
    parser = commands.add_parser(
        "convert",
        help="write a model into a file of another format",
        description="Write a model into a file, with the same weights. The paths of the files "
        "written go to stdout.",
    )
    parser.set_defaults(run=run, parser=parser)
    add = parser.add_argument
    add(
        "source",
        metavar="IN",
        help="a .th, .safetensors, .keras or .yaml file, a published name or signature, or "
        "hf://NAMESPACE/NAME",
    )
    add(
        "target",
        metavar="OUT",
        type=Path,
        help="a .safetensors file (which demucs 4.1 loads, too), a .keras file, or for a bag a "
        ".yaml file, with a .safetensors file for each model beside it",
    )
    add("--repo", type=Path, metavar="DIR", help="folder to look for the name IN in")
    add("--dtype", choices=("float32", "float64"), help="of the weights (default: as in IN)")
    add("--allow-legacy", action="store_true", help="allow .th packages of the legacy host")
    add("--force", action="store_true", help="replace OUT if it is there")
    add("--debug", action="store_true", help="show the traceback of an error")


def run(args: argparse.Namespace) -> int:
    """Convert.

    Raises:
        UsageError: OUT has a suffix of no format, or can't hold what IN is.
        DemucsTFError: IN can't be loaded, or OUT can't be written.
    """
    if args.target.suffix not in SUFFIXES:
        raise UsageError(f"OUT must end in one of {', '.join(SUFFIXES)}, got {str(args.target)!r}.")
    _check_target(args.target, force=args.force)

    from demucs_tf.checkpoints.load import load_located
    from demucs_tf.checkpoints.sources.locate import locate
    from demucs_tf.cli.logs import logs_on_stderr
    from demucs_tf.errors import CheckpointError

    with logs_on_stderr():
        found = locate(args.source, args.repo, allow_legacy=args.allow_legacy)
        _check_kind(found, args.target)
        with quiet(unless=args.debug):
            import tensorflow  # noqa: F401
        model = load_located(found, args.dtype)
    try:
        written = _save(model, args.target)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{args.target}: can't write it: {error}") from error
    print(*written, sep="\n")
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
