"""The errors that demucs_tf raises on purpose.

Every message says what was expected, what was found, and what to do.
"""


class UsageError(ValueError):
    """A command was given something that can't work."""


class DemucsTFError(Exception):
    """Base class: catching it catches every error below."""


class CheckpointError(DemucsTFError):
    """A checkpoint is damaged, unsafe, or does not fit the model."""


class ModelNotFoundError(DemucsTFError):
    """No model of that name or at that path."""


class MemoryBoundError(DemucsTFError, ValueError):
    """A pass of a model needs more memory than it may take."""


class WorkBoundError(DemucsTFError, ValueError):
    """A pass of a model takes more work than it may."""


class AudioError(DemucsTFError):
    """An audio file can't be read, can't be written, or holds no usable audio."""


class ExportError(DemucsTFError):
    """A model can't be exported, or an exported file is damaged or not of this version."""


class TrainingError(DemucsTFError):
    """Stems can't be learnt from, or a training can't begin or go on."""
