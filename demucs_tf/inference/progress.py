"""The progress bar."""

from __future__ import annotations

from typing import Any

from tqdm import tqdm

_SHAPE = "{desc}{percentage:3.0f}%|{bar}| {done:.1f}/{whole:.1f} seconds [{speed}{remaining}]"


class Bar(tqdm):
    """Draw on stderr how much of a track is done, in seconds of it.

    Args:
        length: of the track, in samples.
        samplerate: in Hz.
        title: what stands in front, if anything.
        disable: draw nothing.
    """

    def __init__(self, length: int, samplerate: int, title: str, *, disable: bool) -> None:
        self._samplerate = samplerate
        super().__init__(
            total=length,
            desc=f"{title}: " if title else "",
            bar_format=_SHAPE,
            ncols=100,
            disable=disable,
        )

    @property
    def format_dict(self) -> dict[str, Any]:
        """What the text is made of."""
        known = super().format_dict
        average = known["n"] / known["elapsed"] if known["elapsed"] else 0
        rate = (known["rate"] or average) / self._samplerate
        return {
            **known,
            "done": known["n"] / self._samplerate,
            "whole": known["total"] / self._samplerate,
            "speed": f"{rate:.1f} times real time, " if rate else "",
        }
