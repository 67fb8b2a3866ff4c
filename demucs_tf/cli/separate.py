"""`demucs-tf separate`: tracks in, one audio file a stem out."""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demucs_tf.cli import options
from demucs_tf.cli.errors import UsageError
from demucs_tf.errors import AudioError
from demucs_tf.utils.quiet import mute_stdout, quiet
from demucs_tf.utils.text import printable

if TYPE_CHECKING:
    from demucs_tf.audio.format import Format
    from demucs_tf.audio.writer import StemWriter
    from demucs_tf.cli.report import Report
    from demucs_tf.cli.track import KeptRate, Source
    from demucs_tf.inference.separator import Separator

Plan = dict[Path, list[Path]]


def add_command(commands: Any) -> None:
    """Add `separate` with its options.

    Reference: demucs/separate.py::get_parser
    """
    parser = commands.add_parser(
        "separate",
        help="split tracks into stems",
        usage="%(prog)s TRACK [TRACK ...] [-n NAME] [options]   (all options: --help)",
        description="Split tracks into stems. The paths of the stems go to stdout, "
        "everything else to stderr.",
    )
    parser.set_defaults(run=run, parser=parser)
    options.add_options(parser)


def run(args: argparse.Namespace) -> int:
    """Separate every track; 1 if any failed, after doing the others.

    Raises:
        UsageError: options that can't work.
        DemucsTFError: the model can't be loaded, or the output folder is not writable.
    """
    from demucs_tf.audio.checks import not_written
    from demucs_tf.cli import outputs
    from demucs_tf.cli.report import Report
    from demucs_tf.cli.tracks import find_tracks
    from demucs_tf.cli.work_folder import work_folder

    if args.list_models:
        return _list_models(args)
    _check(args)
    args.name = args.sig or args.name
    folder = args.out / outputs.model_folder(args.name)
    report = Report(args)
    # With a stand-in for the stems, which are known only when the model is there.
    tracks = find_tracks(args.tracks, skip=[args.out, folder], failed=report.failed)
    planned = _plan(args, folder, tracks, [args.two_stems or "stem"], report)
    if not planned:
        return report.finish()
    outputs.check_writable(folder)
    separator = _separator(args)
    planned = _plan(args, folder, list(planned), separator.stems, report)
    try:
        with work_folder(folder) as work:
            _separate_all(separator, planned, args, work, report)
    except OSError as error:
        raise AudioError(not_written(folder, error)) from error
    return report.finish()


def _list_models(args: argparse.Namespace) -> int:
    """As demucs/separate.py:114-120 prints them."""
    from demucs_tf import list_models

    models = list_models(args.repo)
    for title, kind in (("Bag of models:", "bag"), ("Single models:", "single")):
        print(title, *map(printable, models[kind]), sep="\n    ")
    return 0


def _check(args: argparse.Namespace) -> None:
    """UsageError if the options do not fit together."""
    from demucs_tf.cli import outputs
    from demucs_tf.inference.separator import SeparatorSettings

    if not args.tracks:
        raise UsageError("the following arguments are required: TRACK")
    if args.float32 and (args.flac or args.mp3):
        kind = "--flac" if args.flac else "--mp3"
        raise UsageError(f"--float32 and {kind} exclude each other: it has no floats.")
    try:
        SeparatorSettings(**_settings(args))
        _format(args)
    except ValueError as error:
        raise UsageError(str(error)) from error
    alone = args.two_stems is not None and args.other_method == "none"
    outputs.check_template(args.filename, _extension(args), several=not alone)
    if args.report is not None and (args.report.is_dir() or not args.report.parent.is_dir()):
        raise UsageError(f"--report {args.report}: expected a file in a folder that is there.")


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    return {
        "shifts": args.shifts,
        "overlap": args.overlap,
        "split": args.split,
        "segment": args.segment,
        "jobs": args.jobs,
        "seed": args.seed,
        "batch_size": args.batch_size,
        "engine": args.engine,
        "device": args.device,
        "two_stems": args.two_stems,
        "other_method": args.other_method,
    }


def _format(args: argparse.Namespace) -> Format:
    from demucs_tf.audio.format import Format

    return Format(
        f".{_extension(args)}",
        bits=24 if args.int24 else 16,
        as_float=args.float32,
        bitrate=args.mp3_bitrate,
        preset=args.mp3_preset,
        rounding=args.rounding,
        clip=args.clip_mode,
    )


def _extension(args: argparse.Namespace) -> str:
    return "flac" if args.flac else "mp3" if args.mp3 else "wav"


def _plan(
    args: argparse.Namespace, folder: Path, tracks: list[Path], names: list[str], report: Report
) -> Plan:
    """The output files of every track that can be separated; the others are reported."""
    from demucs_tf.audio.checks import check_file
    from demucs_tf.cli import outputs

    planned: Plan = {}
    for track in tracks:
        report.start()
        try:
            check_file(track)
            paths = outputs.plan(folder, args.filename, track, names, _extension(args))
        except AudioError as error:
            report.failed(track, error)
            continue
        planned[track] = paths
    outputs.check_distinct(planned)
    return planned


def _separator(args: argparse.Namespace) -> Separator:
    """The model, loaded; says what is unusual about it.

    Raises:
        UsageError: the model does not fit the options.
    """
    with quiet(unless=args.debug):
        import tensorflow  # noqa: F401
    from demucs_tf.cli.logs import logs_on_stderr
    from demucs_tf.inference.separator import Separator

    settings = _settings(args)
    stem, other = settings.pop("two_stems"), settings.pop("other_method")
    try:
        with logs_on_stderr():
            separator = Separator(
                args.name,
                repo=args.repo,
                dtype=args.dtype,
                allow_legacy=args.allow_legacy,
                progress=True,
                **settings,
            )
    except ValueError as error:
        raise UsageError(str(error)) from error
    if stem is not None and stem not in separator.model.sources:
        raise UsageError(f"--two-stems {stem}: the model has {', '.join(separator.model.sources)}.")
    separator.update_parameter(two_stems=stem, other_method=other)
    _tell_members(separator, args)
    return separator


def _tell_members(separator: Separator, args: argparse.Namespace) -> None:
    from demucs_tf.inference.apply import needed_members

    running, there = separator.members
    if there == 1:
        return
    print(
        f"{args.name} is a bag of {there} models, {running} of them are needed: "
        "as many progress bars for each track and shift",
        file=sys.stderr,
    )
    if args.two_stems is not None and args.other_method == "add":
        fewer = len(needed_members(separator.model, [args.two_stems]))
        if fewer < running:
            print(f"--other-method minus would need {fewer} of them", file=sys.stderr)


def _separate_all(
    separator: Separator, planned: Plan, args: argparse.Namespace, work: Path, report: Report
) -> None:
    from demucs_tf.audio.checks import not_written

    for track, paths in planned.items():
        report.start()
        if args.resume and all(path.is_file() for path in paths):
            print(f"Done already: {track}", file=sys.stderr)
            report.skipped(track, paths)
            continue
        try:
            seconds = _separate(separator, track, paths, args, work)
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
        print(*paths, sep="\n", flush=True)
    except OSError as error:
        mute_stdout()
        if not isinstance(error, BrokenPipeError):
            print(f"warning: can't print the paths of the stems: {error}", file=sys.stderr)


def _separate(
    separator: Separator, track: Path, paths: list[Path], args: argparse.Namespace, work: Path
) -> float:
    """Write the stems of one track; return its length in seconds."""
    from demucs_tf.audio.reader import open_audio
    from demucs_tf.cli.outputs import place
    from demucs_tf.cli.track import Source

    print(f"Separating {track}", file=sys.stderr)
    start = time.monotonic()
    temporary = {path: work / f"{number}{path.suffix}" for number, path in enumerate(paths)}
    with ExitStack() as stack:
        with quiet(unless=args.debug):
            audio = stack.enter_context(open_audio(track))
        source = Source(audio, noisy=args.debug)
        pieces = stack.enter_context(closing(separator.stream(source, work)))
        writers = {}
        for name, path in zip(separator.stems, paths, strict=True):
            writers[name] = _writer(path, temporary[path], separator, source, args)
            stack.enter_context(writers[name])
        for _, stems in pieces:
            for name, writer in writers.items():
                writer.write(stems[name])
    place(temporary)
    if args.verbose:
        print(
            f"{track}: {source.channels} channels at {source.rate} Hz, {source.seconds:.1f} s, "
            f"done in {time.monotonic() - start:.1f} s",
            file=sys.stderr,
        )
    return source.seconds


def _writer(
    path: Path, temporary: Path, separator: Separator, source: Source, args: argparse.Namespace
) -> StemWriter | KeptRate:
    from demucs_tf.audio.writer import StemWriter
    from demucs_tf.cli.track import KeptRate

    keep = args.rate == "keep"
    writer = StemWriter(
        temporary,
        source.rate if keep else separator.samplerate,
        separator.audio_channels,
        _format(args),
        scratch=temporary.parent,
        name=path,
    )
    return KeptRate(writer, separator, source) if keep else writer
