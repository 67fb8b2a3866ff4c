"""What became of each track: told on stderr, counted for the exit status, kept for --report."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from demucs_tf import __version__
from demucs_tf.cli.errors import report_error
from demucs_tf.errors import AudioError
from demucs_tf.utils.files import write_whole

# What of the command line says where things are, and nothing about the stems.
_NOT_SETTINGS = ("run", "parser", "tracks", "report", "verbose", "debug", "list_models", "resume")


class Report:
    """A list of tracks with what became of them."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._path: Path | None = args.report
        self._debug: bool = args.debug
        self._settings = {
            name: str(value) if isinstance(value, Path) else value
            for name, value in vars(args).items()
            if name not in _NOT_SETTINGS
        }
        self._tracks: list[dict[str, Any]] = []
        self._start = time.monotonic()

    def failed(self, track: Path, error: Exception) -> None:
        """Print the error of a track, and note it."""
        report_error(error, str(track), debug=self._debug)
        self._add(track, "failed", error=" ".join(str(error).split()))

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
        if self._path is not None:
            content = {"demucs_tf": __version__, "settings": self._settings, "tracks": self._tracks}
            try:
                with write_whole(self._path) as temporary:
                    temporary.write_text(json.dumps(content, indent=2) + "\n")
            except OSError as error:
                reason = error.strerror or error
                raise AudioError(f"{self._path}: can't write the report: {reason}.") from error
        return 1 if any(track["status"] == "failed" for track in self._tracks) else 0

    def _add(self, track: Path, status: str, **more: Any) -> None:
        now = time.monotonic()
        took, self._start = now - self._start, now
        self._tracks.append({"track": str(track), "status": status, "took": round(took, 3), **more})
