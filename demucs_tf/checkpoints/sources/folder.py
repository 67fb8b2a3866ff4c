"""A folder of models, laid out as the reference's.

`SIGNATURE.th` or `SIGNATURE-CHECKSUM.th` for each model, `NAME.yaml` for each bag. Models may be
`.safetensors` under the same names.

Reference: demucs/repo.py::LocalRepo, BagOnlyRepo
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from demucs_tf.checkpoints.sources.checksums import check_name
from demucs_tf.checkpoints.sources.names import not_there
from demucs_tf.errors import CheckpointError, ModelNotFoundError
from demucs_tf.utils.text import reason_of

SUFFIXES = (".th", ".safetensors")


@dataclass(frozen=True)
class Folder:
    """What is in a folder of models.

    Attributes:
        models: signature -> file.
        checksums: signature -> checksum in the file's name, where there is one.
        bags: name -> file.
    """

    root: Path
    models: dict[str, Path]
    checksums: dict[str, str]
    bags: dict[str, Path]

    def model(self, signature: str) -> Path:
        """The file of a model, checked against the checksum in its name.

        Raises:
            ModelNotFoundError: there is none.
            CheckpointError: the file is not what its name says.
        """
        if signature not in self.models:
            raise not_there(signature, self.models, f"{self.root} has no model")
        path = self.models[signature]
        if signature in self.checksums:
            check_name(path, self.checksums[signature])
        return path


def scan(root: Path) -> Folder:
    """Look through a folder of models.

    Raises:
        ModelNotFoundError: there is no such folder.
        CheckpointError: it has two files for one signature.
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
        elif path.suffix in SUFFIXES:
            _add_model(folder, path)
    return folder


def _add_model(folder: Folder, path: Path) -> None:
    signature, dash, checksum = path.stem.rpartition("-")
    if not dash:
        signature = path.stem
    if signature in folder.models:
        raise CheckpointError(
            f"{folder.root}: wanted one file for each signature, found {path.name} and "
            f"{folder.models[signature].name}. Delete or move all but one."
        )
    folder.models[signature] = path
    if dash:
        folder.checksums[signature] = checksum
