"""`demucs-tf separate --ray`: the same tracks, options and files, by the workers of a cluster."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from demucs_tf.audio.format import Format
from demucs_tf.cli.options import SeparateOptions
from demucs_tf.cli.terminal import print_paths, report_error, say
from demucs_tf.errors import AudioError, UsageError
from demucs_tf.inference.settings import Settings, settings_of

# What a cluster has something else for.
_NOT_THERE = {"report": "the manifest beside the stems has a row for each track"}


def run(options: SeparateOptions, form: Format) -> int:
    """Separate every track; 1 if any failed.

    Args:
        options: that were checked.
        form: of the stems' files.

    Raises:
        UsageError: options that can't work.
        DemucsTFError: the cluster, the model, the manifest or the output folder can't be used.
    """
    from demucs_tf.cluster import rows, store
    from demucs_tf.cluster.api import folder_of, separate_rows
    from demucs_tf.cluster.connect import import_ray
    from demucs_tf.cluster.job import Job

    for name, instead in _NOT_THERE.items():
        if getattr(options, name) is not None:
            raise UsageError(f"--{name} is not there with --ray: {instead}.")
    if options.column is not None and options.tracks_from is None:
        raise UsageError("--column is of a list of tracks: give the list with --tracks-from.")
    import_ray()
    out = store.address_of(options.out)
    job = Job(
        name=options.name,
        repo=None if options.repo is None else Path(os.path.abspath(options.repo)),
        dtype=options.dtype,
        allow_legacy=options.allow_legacy,
        settings=Settings(**settings_of(options)),
        form=form,
        keep_rate=options.rate == "keep",
        template=options.filename,
        resume=options.resume,
        noisy=options.debug,
        out=folder_of(out, options.name),
    )
    failed: list[str] = []

    def missing(track: Path, error: AudioError) -> None:
        report_error(error, str(track), debug=options.debug)
        failed.append(str(error))

    folder = store.local_path(job.out)
    found = rows.gather(
        map(store.address_of, options.tracks),
        options.tracks_from,
        options.column,
        skip=[] if folder is None else [folder.parent, folder],
        failed=missing,
    )
    progress = _Progress(len(found), _shown_as(out), failed)
    try:
        with redirect_stdout(sys.stderr):  # which Ray prints to, too
            separate_rows(found, job, options, progress.finished, progress.say, progress.planned)
    finally:
        progress.close()
    return progress.summarise()


def _shown_as(out: str) -> Callable[[str], str]:
    """Paths of stems as they are without a cluster: below the folder as it was given."""
    whole = os.path.abspath(out)

    def shown(address: str) -> str:
        inside = address.startswith(whole + os.sep)
        return os.path.join(out, os.path.relpath(address, whole)) if inside else address

    return shown


class _Progress:
    """A bar over all tracks; the paths of stems on stdout, errors on stderr.

    Args:
        count: how many tracks there are.
        shown: how the address of a stem is printed.
        failed: the errors of what was no track at all.
    """

    def __init__(self, count: int, shown: Callable[[str], str], failed: list[str]) -> None:
        self._count, self._left, self._shown = count, count, shown
        self._failed = failed
        self._stdout = sys.stdout
        self._seconds = 0.0
        self._start = time.monotonic()
        self._states = {"done": 0, "skipped": 0, "failed": len(failed)}
        self._bar: Any = None

    def planned(self, count: int) -> None:
        """Take note of how many are to be done."""
        from tqdm import tqdm

        self._states["skipped"] = self._count - count
        if self._count > count:
            say(f"Done already: {self._count - count} of {self._count} tracks")
        self._bar = tqdm(
            total=count, unit="track", file=sys.stderr, dynamic_ncols=True, smoothing=0.05
        )

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        with self._above():
            say(text)

    def finished(self, entries: Sequence[Any]) -> None:
        """Print what became of tracks, and move on."""
        for entry in entries:
            state = "skipped" if entry.status == "found" else entry.status
            self._states[state] += 1
            self._seconds += entry.length or 0.0
            with self._above():
                if entry.error:
                    self._failed.append(entry.error)
                    report_error(AudioError(entry.error))
                elif state == "done":
                    with redirect_stdout(self._stdout):
                        print_paths(Path(self._shown(stem.address)) for stem in entry.stems)
        if self._bar is not None:
            took = max(time.monotonic() - self._start, 1e-3)
            self._bar.set_postfix_str(
                f"{self._seconds / 3600:.2f} h of audio, {self._seconds / took:.1f}x real time, "
                f"{self._states['failed']} failed",
                refresh=False,
            )
            self._bar.update(len(entries))

    def _above(self) -> Any:
        from tqdm import tqdm

        return tqdm.external_write_mode(file=sys.stderr)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()

    def summarise(self) -> int:
        """Say how many tracks became what, and which failed; return the exit status."""
        counts = [f"{count} {state}" for state, count in self._states.items() if count]
        if self._count > 1:
            say(f"{self._count} tracks: {', '.join(counts)}")
            for error in self._failed[:20]:
                say(f"  failed: {error}")
        return 1 if self._failed else 0
