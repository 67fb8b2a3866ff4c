"""From a source (a file, for now) to a model."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING

from demucs_tf.checkpoints.files import READERS, read_model
from demucs_tf.errors import CheckpointError, ModelNotFoundError

if TYPE_CHECKING:
    from demucs_tf.models.base import Model

_READ = ".th (the reference's packages) and .keras"


def load_model(
    source: str | PathLike[str], repo: str | PathLike[str] | None = None, dtype: str = "float32"
) -> Model:
    """Load a model from a file.

    Args:
        source: path of a `.th` package of the reference, or of a `.keras` file that a model's
            `save` wrote.
        repo: folder of the published models. Names are not looked up in this version.
        dtype: "float32" or "float64" (the strict mode), whatever the file holds.

    Returns:
        a `DemucsTF`, `HDemucsTF` or `HTDemucsTF`, with the file's configuration and weights.

    Raises:
        ModelNotFoundError: there is no such file, or `source` is a name.
        CheckpointError: the file is damaged, unsafe, or does not fit the class that it names.
        ValueError: `dtype` is something else.

    Reference: demucs/states.py::load_model
    """
    if dtype not in ("float32", "float64"):
        raise ValueError(f'dtype must be "float32" or "float64", got {dtype!r}.')
    name = fspath(source)
    path = Path(name)
    if path.suffix not in READERS:
        raise _not_read(name, path)
    if not path.exists():
        raise ModelNotFoundError(f"{path}: no such file. Check the path of the checkpoint.")
    return read_model(path, dtype)


def _not_read(name: str, path: Path) -> Exception:
    if path.exists():
        return CheckpointError(f"{path}: wanted a file of the kinds {_READ}.")
    return ModelNotFoundError(
        f"{name!r}: no such file, and published names, signatures and hf:// addresses are not "
        f"supported yet. This version reads files: {_READ}."
    )
