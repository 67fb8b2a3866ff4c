"""What every worker is told: the model, its settings, and what becomes of the stems."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from demucs_tf.audio.format import Format
from demucs_tf.inference.settings import Settings, settings_of

# Of the settings, what has no influence on what a stem becomes.
_OF_NO_INFLUENCE = ("device", "jobs", "progress", "callback", "callback_arg")


class Row(NamedTuple):
    """A track, by its path or address, and where it lies below what was given."""

    address: str
    folder: str = "."


@dataclass(frozen=True, kw_only=True)
class Job:
    """One separation of many tracks.

    Args:
        name: of the model, or the path of its file; see `demucs_tf.load_model`.
        repo, dtype, allow_legacy: see `demucs_tf.load_model`.
        settings: see `demucs_tf.Separator`.
        form: of the stems' files, without tags.
        keep_rate: give stems the track's sample rate, not the model's.
        out: the folder for the stems with the model's name at its end, a path or an address.
        template: of a stem's path in there; see `demucs_tf.tracks.outputs`.
        resume: take stems that are there already, and no row tells of, for done.
        noisy: let decoders print what they find odd.
    """

    name: str
    out: str
    repo: Path | None = None
    dtype: str = "float32"
    allow_legacy: bool = False
    settings: Settings = field(default_factory=Settings)
    form: Format = field(default_factory=lambda: Format(".wav"))
    keep_rate: bool = False
    template: str = "{folder}/{track}/{stem}.{ext}"
    resume: bool = False
    noisy: bool = False

    @property
    def extension(self) -> str:
        """Of the stems, without a dot."""
        return self.form.suffix.removeprefix(".")

    def described(self) -> str:
        """All that shapes the stems besides the model, as JSON with sorted keys."""
        values: dict[str, Any] = {
            name: value
            for name, value in settings_of(self.settings).items()
            if name not in _OF_NO_INFLUENCE
        }
        values |= {f"file_{name}": value for name, value in asdict(self.form).items()}
        del values["file_tags"]
        values |= {"dtype": self.dtype, "keep_rate": self.keep_rate, "filename": self.template}
        return json.dumps(values, sort_keys=True, default=list)


def hash_of(*texts: str) -> str:
    """A short name for texts: 16 hexadecimal digits of their SHA-256."""
    return hashlib.sha256("\0".join(texts).encode(errors="surrogateescape")).hexdigest()[:16]
