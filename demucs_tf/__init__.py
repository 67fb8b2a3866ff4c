"""Demucs in TensorFlow/Keras, proven equal to the PyTorch reference layer by layer.

Importing this package imports neither TensorFlow nor NumPy: a name below does when it is used.
"""

from __future__ import annotations

from demucs_tf.errors import (
    AudioError,
    CheckpointError,
    DemucsTFError,
    ExportError,
    ModelNotFoundError,
)
from demucs_tf.utils.version import VERSION

TYPE_CHECKING = False  # importing `typing` takes a while, in which no signal is dealt with
if TYPE_CHECKING:
    from typing import Any

    from demucs_tf.audio.writer import save_audio
    from demucs_tf.checkpoints.from_torch import from_torch
    from demucs_tf.checkpoints.locate import list_models
    from demucs_tf.checkpoints.save import save_model
    from demucs_tf.inference.apply import apply_model
    from demucs_tf.inference.separator import Separator
    from demucs_tf.models.bag import BagOfModels
    from demucs_tf.models.demucs import DemucsTF
    from demucs_tf.models.hdemucs import HDemucsTF
    from demucs_tf.models.htdemucs import HTDemucsTF
    from demucs_tf.runtimes.load import load_model

__version__ = VERSION

__all__ = [
    "AudioError",
    "BagOfModels",
    "CheckpointError",
    "DemucsTF",
    "DemucsTFError",
    "ExportError",
    "HDemucsTF",
    "HTDemucsTF",
    "ModelNotFoundError",
    "Separator",
    "__version__",
    "apply_model",
    "from_torch",
    "list_models",
    "load_model",
    "save_audio",
    "save_model",
]

_LAZY = {
    "BagOfModels": "demucs_tf.models.bag",
    "DemucsTF": "demucs_tf.models.demucs",
    "HDemucsTF": "demucs_tf.models.hdemucs",
    "HTDemucsTF": "demucs_tf.models.htdemucs",
    "Separator": "demucs_tf.inference.separator",
    "apply_model": "demucs_tf.inference.apply",
    "from_torch": "demucs_tf.checkpoints.from_torch",
    "list_models": "demucs_tf.checkpoints.locate",
    "load_model": "demucs_tf.runtimes.load",
    "save_audio": "demucs_tf.audio.writer",
    "save_model": "demucs_tf.checkpoints.save",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    from demucs_tf.utils.quiet import undisturbed

    with undisturbed():
        value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value  # the next use does not come through here
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
