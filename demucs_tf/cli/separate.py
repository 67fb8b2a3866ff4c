"""`demucs-tf separate`: tracks in, one audio file a stem out."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from demucs_tf.cli.options import SeparateOptions
from demucs_tf.cli.terminal import logs_on_stderr, print_paths, say
from demucs_tf.cluster.settings import ClusterSettings, cluster_settings
from demucs_tf.cluster.store import address_of
from demucs_tf.errors import AudioError, DemucsTFError, UsageError
from demucs_tf.inference.settings import settings_of
from demucs_tf.tracks.find import Track
from demucs_tf.utils import interrupts
from demucs_tf.utils.memory import give_back_now
from demucs_tf.utils.quiet import mute_stdout
from demucs_tf.utils.text import printable, reason_of

if TYPE_CHECKING:
    from demucs_tf.audio.format import Format
    from demucs_tf.cli.report import Report
    from demucs_tf.inference.separator import Separator

Plan = dict[Track, list[Path]]


def run(options: SeparateOptions) -> int:
    """Separate every track; 1 if any failed, after doing the others.

    Raises:
        UsageError: options that can't work.
        DemucsTFError: the model can't be loaded, or the output folder is not writable.
    """
    from demucs_tf.audio.checks import not_written
    from demucs_tf.cli.report import Report
    from demucs_tf.tracks import outputs
    from demucs_tf.tracks.find import find_tracks
    from demucs_tf.utils.work_folder import work_folder

    if options.list_models:
        return _list_models(options)
    _check(options)
    options = replace(options, name=options.sig or options.name)
    if options.ray is not None:
        from demucs_tf.cli import cluster

        return cluster.run(options, _format(options))
    folder = options.out / outputs.model_folder(options.name)
    report = Report(options)
    # With a stand-in for the stems, which are known only when the model is there.
    tracks = find_tracks(options.tracks, skip=[options.out, folder], failed=report.failed)
    planned = _plan(options, folder, tracks, ["{stem}"], report)
    if not planned:
        return report.finish()
    outputs.check_writable(folder)
    try:
        outputs.check_distinct(planned, options.filename)
    except UsageError:
        with suppress(DemucsTFError):  # if there is the model, its stems tell more
            planned = _plan(options, folder, [*planned], _separator(options).stems, report)
            outputs.check_distinct(planned, options.filename)
        raise
    separator = _separator(options)
    planned = _plan(options, folder, [*planned], separator.stems, report)
    outputs.check_distinct(planned, options.filename)
    try:
        with work_folder(folder) as work:
            _separate_all(separator, planned, options, work, report)
    except OSError as error:
        raise AudioError(not_written(folder, error)) from error
    return report.finish()


def _list_models(options: SeparateOptions) -> int:
    """As demucs/separate.py:114-120 prints them."""
    from demucs_tf import list_models

    models = list_models(options.repo)
    for title, kind in (("Bag of models:", "bag"), ("Single models:", "single")):
        print(title, *map(printable, models[kind]), sep="\n    ")
    return 0


def _check(options: SeparateOptions) -> None:
    """UsageError if the options do not fit together."""
    from demucs_tf.tracks import outputs

    if not options.tracks and options.tracks_from is None:
        raise UsageError("the following arguments are required: TRACK")
    if options.ray is None:
        _check_without_a_cluster(options)
    if options.float32 and (options.flac or options.mp3):
        kind = "--flac" if options.flac else "--mp3"
        raise UsageError(f"--float32 and {kind} exclude each other: it has no floats.")
    try:
        _format(options)
    except ValueError as error:
        raise UsageError(str(error)) from error
    alone = options.two_stems is not None and options.other_method == "none"
    outputs.check_template(options.filename, _extension(options), several=not alone)
    report = options.report
    if report is not None:
        if os.path.isdir(report) or not os.path.isdir(report.parent):
            raise UsageError(f"--report {report}: expected a file in a folder that is there.")
        try:
            outputs.check_length(report)
        except OSError as error:
            raise UsageError(f"--report {report}: {reason_of(error)}.") from error


def _check_without_a_cluster(options: SeparateOptions) -> None:
    given = [
        name for name, value in cluster_settings(options).items() if value != _NO_CLUSTER[name]
    ]
    if given:
        raise UsageError(f"--{given[0].replace('_', '-')} goes with --ray, which is not there.")
    for path in (options.out, *options.tracks):
        if "://" in (address := address_of(path)):
            raise UsageError(f"{address}: addresses go with --ray, which is not there.")


_NO_CLUSTER = cluster_settings(ClusterSettings())


def _format(options: SeparateOptions) -> Format:
    from demucs_tf.audio.format import Format

    return Format(
        f".{_extension(options)}",
        bits=24 if options.int24 else 16,
        as_float=options.float32,
        bitrate=options.mp3_bitrate,
        preset=options.mp3_preset,
        rounding=options.rounding,
        clip=options.clip_mode,
    )


def _extension(options: SeparateOptions) -> str:
    return "flac" if options.flac else "mp3" if options.mp3 else "wav"


def _plan(
    options: SeparateOptions, folder: Path, tracks: list[Track], names: list[str], report: Report
) -> Plan:
    """The output files of every track that can be separated; the others are reported."""
    from demucs_tf.audio.checks import check_file
    from demucs_tf.tracks import outputs

    planned: Plan = {}
    for track in tracks:
        report.start()
        try:
            check_file(track.path)
            paths = outputs.plan(folder, options.filename, track, names, _extension(options))
        except AudioError as error:
            report.failed(track.path, error)
            continue
        planned[track] = paths
    return planned


def _separator(options: SeparateOptions) -> Separator:
    """The model, loaded; says what is unusual about it.

    Raises:
        UsageError: the model does not fit the options.
    """
    from demucs_tf.inference.graphs.precision import unrounded
    from demucs_tf.inference.separator import Separator

    settings = settings_of(options)
    # These are known to fit only when the model is there.
    stem, other, stems = (settings.pop(each) for each in ("two_stems", "other_method", "stems"))
    own = {"progress": True, "callback": lambda _: interrupts.check()}
    try:
        with logs_on_stderr():
            separator = Separator(
                options.name,
                repo=options.repo,
                dtype=options.dtype,
                allow_legacy=options.allow_legacy,
                **{**settings, **own},
            )
    except ValueError as error:
        raise UsageError(str(error)) from error
    unrounded()
    interrupts.check()
    if stem is not None and stem not in separator.model.sources:
        raise UsageError(f"--two-stems {stem}: the model has {', '.join(separator.model.sources)}.")
    try:
        separator.update_parameter(two_stems=stem, other_method=other, stems=stems)
    except ValueError as error:
        raise UsageError(f"--{error}") from error
    _tell_members(separator, options)
    give_back_now()  # what reading has left is as large as the model
    return separator


def _tell_members(separator: Separator, options: SeparateOptions) -> None:
    from demucs_tf.inference.apply import needed_members

    running, there = separator.members
    if there == 1:
        return
    say(
        f"{options.name} is a bag of {there} models, {running} of them are needed: "
        "as many progress bars for each track and shift"
    )
    if options.two_stems is not None and options.other_method == "add":
        fewer = len(needed_members(separator.model, [options.two_stems]))
        if fewer < running:
            say(f"--other-method minus would need {fewer} of them")


def _separate_all(
    separator: Separator, planned: Plan, options: SeparateOptions, work: Path, report: Report
) -> None:
    from demucs_tf.audio.checks import not_written

    for number, ((track, _), paths) in enumerate(planned.items(), 1):
        count = f"[{number}/{len(planned)}] " if len(planned) > 1 else ""
        report.start()
        if options.resume and all(path.is_file() for path in paths):
            say(f"{count}Done already: {track}")
            report.skipped(track, paths)
            continue
        try:
            say(f"{count}Separating {track}")
            seconds = _separate(separator, track, paths, options, work)
        except OSError as error:  # of the temporary files; all others are told by their names
            report.failed(track, AudioError(not_written(work, error)))
        except Exception as error:
            report.failed(track, error)
        else:
            report.done(track, paths, seconds)
            _print(paths)


def _print(paths: list[Path]) -> None:
    """Print where the stems are; they are there all the same if nobody can be told."""
    try:
        print_paths(paths)
    except OSError as error:
        mute_stdout()
        if not isinstance(error, BrokenPipeError):
            say(f"warning: can't print the paths of the stems: {error}")


def _separate(
    separator: Separator, track: Path, paths: list[Path], options: SeparateOptions, work: Path
) -> float:
    """Write the stems of one track; return its length in seconds."""
    from demucs_tf.tracks import outputs
    from demucs_tf.tracks.write import write_stems

    def place(files: dict[Path, Path]) -> None:
        with interrupts.held_back():
            outputs.place(files)

    start = time.monotonic()
    source = write_stems(
        separator,
        track,
        paths,
        _format(options),
        place,
        work=work,
        keep_rate=options.rate == "keep",
        noisy=options.debug,
    )
    if options.verbose:
        say(
            f"{track}: {source.channels} channels at {source.rate} Hz, {source.seconds:.1f} s, "
            f"done in {time.monotonic() - start:.1f} s"
        )
    return source.seconds
