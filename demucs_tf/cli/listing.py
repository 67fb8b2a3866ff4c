"""`demucs-tf list`: the models that there are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from demucs_tf.cli.options import ListOptions
from demucs_tf.utils.text import printable

if TYPE_CHECKING:
    from demucs_tf.checkpoints.sources.folder import Folder
    from demucs_tf.models.bag import Bag

Row = tuple[str, str, str]


def run(options: ListOptions) -> int:
    """Print a table.

    Raises:
        DemucsTFError: there is no such folder, or it has two files for one signature.
    """
    if options.repo is None:
        _print_table(("NAME", "MODELS", "ON THIS MACHINE"), _published())
        print(
            "\nEach of the models can be loaded alone, by its signature. Models on the hub: "
            "hf://NAMESPACE/NAME."
        )
        return 0
    from demucs_tf.checkpoints.sources.folder import scan

    _print_table(("NAME", "MODELS", "FILE"), _in_folder(scan(options.repo)))
    return 0


def _published() -> list[Row]:
    from demucs_tf.checkpoints.sources import embedded
    from demucs_tf.checkpoints.sources.published import BAGS

    published = [(name, " ".join(bag.models), _where(name, bag)) for name, bag in BAGS.items()]
    return [*published, (embedded.NAME, "", f"yes, in the package: {embedded.WORTH}")]


def _where(name: str, bag: Bag) -> str:
    """Where the files of a published bag are, as far as they are."""
    from demucs_tf.checkpoints.sources import hub, legacy_host

    repository, members = hub.repository(name), set(bag.models)
    from_hub = {
        member for member in members if hub.cached(repository, f"{member}.safetensors") is not None
    }
    from_legacy = {member for member in members if legacy_host.cached_path(member).is_file()}
    if from_hub == members and hub.cached(repository, f"{name}.yaml") is not None:
        return "yes"
    if from_legacy == members:
        return "yes, as legacy .th files"
    there = len(from_hub | from_legacy)
    return f"{there} of {len(members)} models" if there else "no"


def _in_folder(folder: Folder) -> list[Row]:
    bags = [(name, *_bag_row(folder, path)) for name, path in sorted(folder.bags.items())]
    return bags + [(name, "", path.name) for name, path in sorted(folder.models.items())]


def _bag_row(folder: Folder, path: Path) -> tuple[str, str]:
    """The members of a bag and its file, with what is wrong with them."""
    from demucs_tf.checkpoints.formats.bag_yaml import read_bag
    from demucs_tf.errors import DemucsTFError

    try:
        members = read_bag(path).models
    except DemucsTFError as error:
        return "", f"{path.name} ({error})"
    missing = [member for member in dict.fromkeys(members) if member not in folder.models]
    lacks = f" (lacks {' '.join(missing)})" if missing else ""
    return " ".join(members), path.name + lacks


def _print_table(head: Row, rows: Sequence[Row]) -> None:
    rows = [tuple(map(printable, row)) for row in rows]  # type: ignore[misc]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(3)]
    for row in (head, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
