"""What a case is: one configuration, one input. Everything else follows from the row."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

DEMUCS = "demucs.demucs.Demucs"
HDEMUCS = "demucs.hdemucs.HDemucs"
HTDEMUCS = "demucs.htdemucs.HTDemucs"

FOUR = ["drums", "bass", "other", "vocals"]
TWO = ["vocals", "no_vocals"]


@dataclass(frozen=True)
class Case:
    """A configuration of the reference and what it hears.

    `stored`: "repository" keeps the golden in `golden/`; "cache" makes it on demand in the user's
    cache folder; "live" is compared with the running reference only, because its input may not be
    distributed or its activations are too large. `reference` is the class, `config` its arguments
    and `port` those that only the port has. With `apply` the case is about `apply_model` with these
    arguments, or, if `track` is among them, about the Separator: see `parity.demucs.whole_track`.
    """

    name: str
    config: dict[str, Any] = field(hash=False)
    length: int
    signal: str = "piece"
    batch: int = 1
    seed: int = 0
    reference: str = DEMUCS
    port: dict[str, Any] = field(default_factory=dict, hash=False)
    apply: dict[str, Any] = field(default_factory=dict, hash=False)
    stored: Literal["repository", "cache", "live"] = "repository"
    full: bool = False
    note: str = ""
    shape: tuple[int, int, int] = field(init=False)

    def __post_init__(self) -> None:
        channels = self.config.get("audio_channels", 2)
        object.__setattr__(self, "shape", (self.batch, channels, self.length))
