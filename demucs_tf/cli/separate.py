"""`demucs-tf separate`: tracks in, one audio file a stem out."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demucs_tf.cli.errors import UsageError, report_error
from demucs_tf.utils.quiet import quiet

if TYPE_CHECKING:
    from demucs_tf.inference.chunks import Array
    from demucs_tf.inference.separator import Separator

OTHER = {"none": None, "add": "no_", "minus": "minus_"}


def add_command(commands: Any) -> None:
    """Add `separate` with its options; names, meanings and defaults are the reference's.

    Reference: demucs/separate.py::get_parser
    """
    parser = commands.add_parser(
        "separate",
        help="split tracks into stems",
        usage="%(prog)s TRACK [TRACK ...] -n CHECKPOINT [options]   (all options: --help)",
        description="Split tracks into stems. The paths of the stems go to stdout, "
        "everything else to stderr.",
    )
    parser.set_defaults(run=run, parser=parser)
    add = parser.add_argument
    add("tracks", nargs="+", type=Path, metavar="TRACK", help="WAV, FLAC, OGG or MP3 file")
    add("-n", "--name", required=True, metavar="CHECKPOINT", help="the model's file")
    add(
        "-o",
        "--out",
        type=Path,
        default=Path("separated"),
        metavar="DIR",
        help="where to put the stems, in a subfolder with the model's name (default: separated)",
    )
    add(
        "--filename",
        default="{track}/{stem}.{ext}",
        metavar="TEMPLATE",
        help="path of a stem in there, of {track}, {trackext}, {stem} and {ext} "
        "(default: {track}/{stem}.{ext})",
    )
    _add_model_options(parser)
    _add_output_options(parser)
    add("-v", "--verbose", action="store_true", help="say more about each track")
    add("--debug", action="store_true", help="show the traceback of an error")


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--shifts",
        type=int,
        default=1,
        metavar="N",
        help="average over N random shifts: better and N times slower; 0: no shift (default: 1)",
    )
    add(
        "--overlap",
        type=float,
        default=0.25,
        metavar="SHARE",
        help="overlap of neighbouring chunks, 0 to below 1 (default: 0.25)",
    )
    split = parser.add_mutually_exclusive_group()
    split.add_argument(
        "--segment", type=float, metavar="SECONDS", help="length of a chunk (default: the model's)"
    )
    split.add_argument(
        "--no-split",
        dest="split",
        action="store_false",
        help="take the track as one chunk, which needs much memory",
    )
    add("--seed", type=int, metavar="N", help="draw the same shifts each time")
    add(
        "--dtype",
        choices=("float32", "float64"),
        default="float32",
        help="float64 computes everything in double precision, slowly (default: float32)",
    )


def _add_output_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--two-stems", dest="stem", metavar="STEM", help="write only STEM and what is not STEM")
    add(
        "--other-method",
        choices=tuple(OTHER),
        default="add",
        help="what is not STEM: the sum of the other stems (add), the track minus STEM (minus), "
        "or nothing (none) (default: add)",
    )
    depth = parser.add_mutually_exclusive_group()
    depth.add_argument("--int24", action="store_true", help="write 24 bits, not 16")
    depth.add_argument("--float32", action="store_true", help="write float32 samples")
    add(
        "--clip-mode",
        choices=("rescale", "clamp", "none"),
        default="rescale",
        help="a stem above full scale is made quieter (rescale), cut at 0.99 (clamp), or cut at "
        "full scale, with --float32 not at all (none) (default: rescale)",
    )
    add("--flac", action="store_true", help="write FLAC, not WAV")


def run(args: argparse.Namespace) -> int:
    """Separate every track; 1 if any failed, after doing the others.

    Raises:
        UsageError: options that can't work.
        DemucsTFError: the model can't be loaded, or the output folder is not writable.
    """
    from demucs_tf.cli import outputs
    from demucs_tf.inference.separator import Separator
    from demucs_tf.inference.settings import ApplySettings

    if args.float32 and args.flac:
        raise UsageError("--float32 and --flac exclude each other: FLAC holds integers (--int24).")
    try:
        ApplySettings(shifts=args.shifts, overlap=args.overlap, segment=args.segment)
    except ValueError as error:
        raise UsageError(str(error)) from error
    folder = args.out / outputs.model_folder(args.name)
    ext = "flac" if args.flac else "wav"
    outputs.check_template(args.filename, ext)

    # With a stand-in for the stems, which are known only when the model is there.
    planned = _plan(args, folder, ext, args.tracks, [args.stem or "stem"])
    failed = len(args.tracks) - len(planned)
    if not planned:
        return 1
    outputs.check_writable(folder)
    with quiet(unless=args.debug):
        import tensorflow  # noqa: F401
    separator = Separator(
        args.name,
        shifts=args.shifts,
        overlap=args.overlap,
        split=args.split,
        segment=args.segment,
        seed=args.seed,
        progress=True,
        dtype=args.dtype,
    )
    names = _names(separator.model.sources, args)
    remaining = list(planned)
    planned = _plan(args, folder, ext, remaining, names)
    failed += len(remaining) - len(planned)
    for track, paths in planned.items():
        try:
            _separate(separator, track, dict(zip(names, paths, strict=True)), args)
        except Exception as error:
            report_error(error, str(track), debug=args.debug)
            failed += 1
    return 1 if failed else 0


def _plan(
    args: argparse.Namespace, folder: Path, ext: str, tracks: list[Path], names: list[str]
) -> dict[Path, list[Path]]:
    """The output files of every track that can be separated; the others are reported."""
    from demucs_tf.cli import outputs
    from demucs_tf.errors import AudioError
    from demucs_tf.utils.audio import check_file

    planned: dict[Path, list[Path]] = {}
    for track in tracks:
        try:
            check_file(track)
            paths = outputs.plan(folder, args.filename, track, names, ext)
        except AudioError as error:
            report_error(error, debug=args.debug)
            continue
        if track in planned:
            raise UsageError(f"{track} is given twice.")
        planned[track] = paths
    outputs.check_distinct(planned)
    return planned


def _names(sources: list[str], args: argparse.Namespace) -> list[str]:
    """The stems to write; what is not the chosen stem comes second."""
    if args.stem is None:
        return sources
    if args.stem not in sources:
        raise UsageError(f"--two-stems {args.stem}: the model has {', '.join(sources)}.")
    prefix = OTHER[args.other_method]
    return [args.stem] if prefix is None else [args.stem, prefix + args.stem]


def _separate(
    separator: Separator, track: Path, paths: dict[str, Path], args: argparse.Namespace
) -> None:
    from demucs_tf.cli.outputs import write_all
    from demucs_tf.utils.audio import encode_audio, read_audio

    print(f"Separating {track}", file=sys.stderr)
    start = time.monotonic()
    with quiet(unless=args.debug):
        wav, rate = read_audio(track)
    origin, stems = separator.separate_tensor(wav, rate)
    stems.update(_rest(origin, stems, args))
    files: dict[Path, Callable[[], memoryview]] = {
        path: partial(
            encode_audio,
            stems[name],
            separator.samplerate,
            path.suffix,
            clip=args.clip_mode,
            bits=24 if args.int24 else 16,
            as_float=args.float32,
        )
        for name, path in paths.items()
    }
    write_all(files)
    for path in files:
        print(path)
    if args.verbose:
        print(
            f"{track}: {wav.shape[0]} channels at {rate} Hz, {wav.shape[1] / rate:.1f} s, "
            f"done in {time.monotonic() - start:.1f} s",
            file=sys.stderr,
        )


def _rest(origin: Array, stems: dict[str, Array], args: argparse.Namespace) -> dict[str, Array]:
    """What is not the chosen stem, under the reference's name: demucs/separate.py:202-225."""
    if args.stem is None or args.other_method == "none":
        return {}
    name = f"{OTHER[args.other_method]}{args.stem}"
    if args.other_method == "minus":
        return {name: origin - stems[args.stem]}
    others = [wav for source, wav in stems.items() if source != args.stem]
    return {name: sum(others, start=0 * origin)}  # in this order from zero, as the reference
