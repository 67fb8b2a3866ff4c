"""A folder of models, laid out as the reference's.

`SIGNATURE.th` or `SIGNATURE-CHECKSUM.th` for each model, `NAME.yaml` for each bag. Models may be
`.safetensors` under the same names, which go before `.th` of the same signature.

Reference: demucs/repo.py::LocalRepo, BagOnlyRepo
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from demucs_tf.checkpoints.sources.checksums import check_name
from demucs_tf.errors import CheckpointError, ModelNotFoundError
from demucs_tf.utils.text import reason_of, shown

SUFFIXES = (".th", ".safetensors")  # the last one that there is is used
_LISTED = 40
_log = logging.getLogger("demucs_tf")


@dataclass(frozen=True)
class Folder:
    """What is in a folder of models.

    Attributes:
        models: signature -> file.
        bags: name -> file.
        passed_over: signature -> file of another format, which is not used.
    """

    root: Path
    models: dict[str, Path]
    bags: dict[str, Path]
    passed_over: dict[str, Path]

    def model(self, signature: str) -> Path:
        """The file of a model, checked against the checksum in its name.

        Raises:
            ModelNotFoundError: there is none.
            CheckpointError: the file is not what its name says.
        """
        if signature not in self.models:
            raise not_there(signature, self.models, f"{self.root} has no model")
        path, other = self.models[signature], self.passed_over.get(signature)
        if other is not None:
            _log.warning("%s: %s is used, %s is not.", self.root, path.name, other.name)
        _, dash, checksum = path.stem.rpartition("-")
        if dash:
            check_name(path, checksum)
        return path


def scan(root: Path) -> Folder:
    """Look through a folder of models.

    Raises:
        ModelNotFoundError: there is no such folder.
        CheckpointError: it has two files of one format for one signature.
    """
    try:
        files = sorted(path for path in root.iterdir() if path.name[0] != "." and path.is_file())
    except (OSError, ValueError) as error:  # ValueError: no path at all, as one with a zero byte
        raise ModelNotFoundError(
            f"{root}: wanted a folder of models, which can't be read ({reason_of(error)}). "
            "Check the path given as --repo or repo."
        ) from error
    folder = Folder(root, {}, {}, {})
    for path in files:
        if path.suffix == ".yaml":
            folder.bags[path.stem] = path
    for suffix in SUFFIXES:
        _add_models(folder, [path for path in files if path.suffix == suffix])
    return folder


def _add_models(folder: Folder, files: list[Path]) -> None:
    """Add the models of one format, which replace those of another."""
    found: dict[str, Path] = {}
    for path in files:
        signature = path.stem.rpartition("-")[0] or path.stem
        if signature in found:
            raise CheckpointError(
                f"{folder.root}: wanted one file for each signature, found {path.name} and "
                f"{found[signature].name}. Delete or move all but one."
            )
        found[signature] = path
    for signature in found.keys() & folder.models.keys():
        folder.passed_over[signature] = folder.models[signature]
    folder.models.update(found)


def not_there(name: str, known: Collection[str], what: str, hint: str = "") -> ModelNotFoundError:
    """The error about a name that nothing goes by; the names most like it come first.

    Args:
        name: what was asked for.
        known: all names that there are.
        what: how the sentence starts that ends in `name`, e.g. "no published model".
        hint: a sentence more.
    """
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=5, cutoff=0.5)
    listed = close + [other for other in known if other not in close][: _LISTED - len(close)]
    there = ", ".join(shown(other) for other in listed) or "nothing"
    more = f" and {len(known) - len(listed)} more" if len(known) > len(listed) else ""
    guess = f" Did you mean {shown(close[0])}?" if close else ""
    return ModelNotFoundError(
        f"{what} '{shown(name)}'.{guess} There is: {there}{more}.{hint and ' '}{hint}"
    )
