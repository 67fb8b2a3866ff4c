"""What models there are."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from demucs_tf.checkpoints.sources import folder, hub, legacy_host
from demucs_tf.checkpoints.sources.published import BAGS, LEGACY_FILES


def list_models(repo: str | PathLike[str] | None = None) -> dict[str, dict[str, str | Path]]:
    """List the published models, or those of a folder.

    Args:
        repo: a folder of models, as in `load_model`. None: the published models.

    Returns:
        "single": signature -> file of the folder, or address of the published `.th` package;
        "bag": name -> file of the folder, or address on the hub.

    Raises:
        ModelNotFoundError: there is no such folder.
        CheckpointError: the folder has two files for one signature.

    Reference: demucs/api.py::list_models
    """
    if repo is not None:
        models = folder.scan(Path(repo))
        return {"single": {**models.models}, "bag": {**models.bags}}
    return {
        "single": {signature: legacy_host.ROOT + file for signature, file in LEGACY_FILES.items()},
        "bag": {name: f"{hub.PREFIX}{hub.NAMESPACE}/{name}" for name in BAGS},
    }
