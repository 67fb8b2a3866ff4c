"""What became of each track: told on stderr, counted for the exit status, kept for --report."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

from demucs_tf import __version__
from demucs_tf.cli.options import SeparateOptions
from demucs_tf.cli.terminal import explained, report_error, say
from demucs_tf.cluster.settings import ClusterSettings
from demucs_tf.errors import AudioError, DemucsTFError
from demucs_tf.utils.atomic import write_whole
from demucs_tf.utils.interrupts import check
from demucs_tf.utils.text import reason_of

# What of the command line has no influence on what a stem becomes.
STATES = ("done", "skipped", "failed")
_NOT_SETTINGS = (
    *("tracks", "report", "verbose", "debug", "list_models", "resume"),
    *(each.name for each in fields(ClusterSettings)),
)


class Report:
    """A list of tracks with what became of them.

    The file has `demucs_tf`, the version; `settings`, the options by name; and `tracks`, as they
    were dealt with, each with `track`, its path; `status`: "done", "skipped" (by --resume) or
    "failed"; `took`, seconds; `stems`, the paths written or there already; `length`, its own in
    seconds, if done; `error`, if failed. It is written anew after each track.
    """

    def __init__(self, options: SeparateOptions) -> None:
        self._path: Path | None = options.report
        self._debug: bool = options.debug
        self._settings = {
            each.name: str(value) if isinstance(value, Path) else value
            for each in fields(options)
            if each.metadata.get("help") and each.name not in _NOT_SETTINGS
            for value in [getattr(options, each.name)]
        }
        self._tracks: list[dict[str, Any]] = []
        self._start = time.monotonic()

    def failed(self, track: Path, error: Exception) -> None:
        """Print the error of a track, and note it; what an interrupt became is no error."""
        check()
        if isinstance(error, DemucsTFError) and not str(error).startswith(str(track)):
            named = AudioError(f"{track}: {error}")
            named.__cause__ = error
            error = named
        report_error(error, str(track), debug=self._debug)
        self._add(track, "failed", error=explained(error, str(track), debug=True))

    def start(self) -> None:
        self._start = time.monotonic()

    def skipped(self, track: Path, stems: Sequence[Path]) -> None:
        """Note a track that was there already."""
        self._add(track, "skipped", stems=list(map(str, stems)))

    def done(self, track: Path, stems: Sequence[Path], length: float) -> None:
        """Note a track that was separated; `length` is its length in seconds."""
        self._add(track, "done", stems=list(map(str, stems)), length=length)

    def finish(self) -> int:
        """Write the file, if one is wanted; return the exit status.

        Raises:
            AudioError: it can't be written.
        """
        try:
            self._write()
        except OSError as error:
            raise AudioError(
                f"{self._path}: can't write the report: {reason_of(error)}."
            ) from error
        self._summarise()
        return 1 if any(track["status"] == "failed" for track in self._tracks) else 0

    def _summarise(self) -> None:
        """Say how many tracks became what, and once more which failed and why."""
        if len(self._tracks) < 2:
            return
        states = [track["status"] for track in self._tracks]
        counts = [f"{states.count(each)} {each}" for each in STATES if each in states]
        say(f"{len(states)} tracks: {', '.join(counts)}")
        for track in self._tracks:
            if track["status"] == "failed":
                say(f"  failed: {track['error']}")

    def _add(self, track: Path, status: str, **more: Any) -> None:
        took = round(time.monotonic() - self._start, 3)
        self._tracks.append({"track": str(track), "status": status, "took": took, **more})
        with suppress(OSError):  # `finish` says so
            self._write()

    def _write(self) -> None:
        if self._path is None:
            return
        content = {"demucs_tf": __version__, "settings": self._settings, "tracks": self._tracks}
        with write_whole(self._path) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n")
