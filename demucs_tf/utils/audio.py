"""Audio files: read and write, whole or as streams. Arrays are (channels, samples)."""

from __future__ import annotations

from demucs_tf.utils.audio_checks import check_file, check_samples, not_written
from demucs_tf.utils.audio_format import ClipMode, Format
from demucs_tf.utils.audio_read import AudioStream, open_audio, read_audio
from demucs_tf.utils.audio_write import StemWriter, encode_audio, prevent_clip, save_audio

__all__ = [
    "AudioStream",
    "ClipMode",
    "Format",
    "StemWriter",
    "check_file",
    "check_samples",
    "encode_audio",
    "not_written",
    "open_audio",
    "prevent_clip",
    "read_audio",
    "save_audio",
]
