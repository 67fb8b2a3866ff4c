"""The progress bar."""

from __future__ import annotations

from typing import Any

from tqdm import tqdm


class Bar(tqdm):
    """Draw on stderr how much of a track is done, in seconds of it.

    Args:
        seconds: how long the track is.
        title: what stands in front.
        disable: draw nothing.
    """

    def __init__(self, seconds: float, title: str, *, disable: bool) -> None:
        shape = "{desc}{percentage:3.0f}%|{bar}| {n:.1f}/{total:.1f} seconds [{speed}{remaining}]"
        super().__init__(
            total=seconds, desc=title, bar_format=shape, ncols=100, unit="s", disable=disable
        )

    @property
    def format_dict(self) -> dict[str, Any]:
        """What the text is made of."""
        known = super().format_dict
        rate = known["rate"] or (known["n"] / known["elapsed"] if known["elapsed"] else 0)
        speed = f"{rate:.1f} times real time, " if rate else ""
        return {**known, "speed": speed}
