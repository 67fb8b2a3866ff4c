"""From a model to one file for another runtime: a waveform in, its stems out.

Importing this imports no TensorFlow.
"""

from demucs_tf.export.files import read_manifest, read_metadata
from demucs_tf.export.metadata import Manifest, Metadata
from demucs_tf.export.run import export_model

__all__ = ["Manifest", "Metadata", "export_model", "read_manifest", "read_metadata"]
