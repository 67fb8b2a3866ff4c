"""What a written audio file is made of, and how samples are made fit for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from demucs_tf.audio.tags import Tags

ClipMode = Literal["rescale", "clamp", "tanh", "none"]
Rounding = Literal["truncate", "round"]

_OFFERED = '".wav" (16 or 24 bits, or float32), ".flac" (16 or 24 bits) or ".mp3"'


@dataclass(frozen=True)
class Format:
    """A kind of audio file.

    Args:
        suffix: ".wav", ".flac" or ".mp3", in any case.
        bits: 16 or 24, of integer samples; MP3 takes 16.
        as_float: float32 samples, WAV only. With clip "none" they are written as they are;
            the reference clamps them (demucs/audio.py:240).
        bitrate: of an MP3, in kbit/s; above the highest that MP3 has at the file's sample rate,
            that one is taken.
        preset: of an MP3, from 2, the best, to 7, the fastest.
        rounding: "truncate" cuts integer samples off towards zero, as the reference; "round"
            takes the nearest.
        clip: see `demucs_tf.audio.writer.prevent_clip`. Integers are clamped to [-1, 1] in
            any case.
        tags: as `demucs_tf.audio.tags.cleaned` gives them.

    Raises:
        ValueError: a format or a setting that is not offered.

    Reference: demucs/audio.py::save_audio
    """

    suffix: str
    bits: int = 16
    as_float: bool = False
    bitrate: int = 320
    preset: int = 2
    rounding: Rounding = "truncate"
    clip: ClipMode = "rescale"
    tags: Tags = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_clip(self.clip)
        if self.rounding not in get_args(Rounding):
            raise ValueError(f'rounding must be "truncate" or "round", got {self.rounding!r}.')
        if not 8 <= self.bitrate <= 320:
            raise ValueError(f"bitrate must be 8 to 320 kbit/s, got {self.bitrate}.")
        if not 2 <= self.preset <= 7:
            raise ValueError(f"preset must be 2 (best) to 7 (fastest), got {self.preset}.")
        if not self._offered():
            wanted = "float32" if self.as_float else f"{self.bits} bits"
            raise ValueError(f"expected {_OFFERED}, got {self.suffix!r}, {wanted}.")

    def _offered(self) -> bool:
        if self.is_wav:
            return self.as_float or self.bits in (16, 24)
        if self.as_float:
            return False
        return self.is_mp3 or (self.suffix.lower() == ".flac" and self.bits in (16, 24))

    @property
    def is_wav(self) -> bool:
        """Whether it is WAV, the only one with a limited size."""
        return self.suffix.lower() == ".wav"

    @property
    def is_mp3(self) -> bool:
        """Whether it is MP3."""
        return self.suffix.lower() == ".mp3"

    @property
    def sample_bytes(self) -> int:
        """Of one sample, where it is not compressed."""
        return 4 if self.as_float else self.bits // 8


def check_clip(mode: str) -> None:
    """ValueError for a mode that there is not."""
    if mode not in get_args(ClipMode):
        raise ValueError(f'clip must be "rescale", "clamp", "tanh" or "none", got {mode!r}.')
