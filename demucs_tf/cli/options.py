"""The options of `demucs-tf separate`; names, meanings and defaults are the reference's.

Reference: demucs/separate.py::get_parser
"""

from __future__ import annotations

import argparse
from pathlib import Path

# As in demucs_tf.inference, which --help must not import.
ENGINES = ("auto", "graph", "xla", "eager")
OTHER_METHODS = ("add", "minus", "none")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add all of them, in groups."""
    add = parser.add_argument
    add(
        "tracks",
        nargs="*",
        type=Path,
        metavar="TRACK",
        help="audio file, folder, or pattern in quotes, e.g. 'songs/*.flac'",
    )
    add("-v", "--verbose", action="store_true", help="say more about each track")
    add("--debug", action="store_true", help="show the traceback of an error")
    _add_model(parser.add_argument_group("model"))
    _add_applying(parser.add_argument_group("separation"))
    _add_stems(parser.add_argument_group("stems"))
    _add_files(parser.add_argument_group("files"))


def _add_model(group: argparse._ArgumentGroup) -> None:
    name = group.add_mutually_exclusive_group()
    name.add_argument(
        "-n",
        "--name",
        default="htdemucs",
        help="published name or signature, hf://NAMESPACE/NAME, or a checkpoint's path "
        "(default: htdemucs)",
    )
    name.add_argument("-s", "--sig", metavar="SIG", help="signature of a single model")
    add = group.add_argument
    add("--repo", type=Path, metavar="DIR", help="folder with the models for -n")
    add(
        "--allow-legacy",
        action="store_true",
        help="fetch .th files from the old server if the hub does not have a model",
    )
    add("--list-models", action="store_true", help="list the models and exit")
    add(
        "--dtype",
        choices=("float32", "float64"),
        default="float32",
        help="float64 computes everything in double precision, slowly (default: float32)",
    )
    add("-d", "--device", help="cpu, gpu or gpu:1 (default: a GPU if there is one)")
    add(
        "--engine",
        choices=ENGINES,
        default="auto",
        help="how TensorFlow runs the model (default: auto, which is graph)",
    )
    add(
        "-j",
        "--jobs",
        type=int,
        default=0,
        metavar="N",
        help="work on N chunks at a time, with N times the memory (default: 0, one)",
    )
    add(
        "--batch-size",
        type=int,
        default=1,
        metavar="N",
        help="give the model N chunks together (default: 1)",
    )


def _add_applying(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
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
    split = group.add_mutually_exclusive_group()
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


def _add_stems(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--two-stems", metavar="STEM", help="write only STEM and what is not STEM")
    add(
        "--other-method",
        choices=OTHER_METHODS,
        default="add",
        help="what is not STEM: the sum of the other stems (add), the track minus STEM (minus), "
        "or nothing (none); with the last two, models of a bag that STEM does not need are left "
        "out (default: add)",
    )
    add(
        "--clip-mode",
        choices=("rescale", "clamp", "none"),
        default="rescale",
        help="a stem above full scale is made quieter (rescale), cut at 0.99 (clamp), or cut at "
        "full scale, with --float32 not at all (none) (default: rescale)",
    )
    add(
        "--rounding",
        choices=("truncate", "round"),
        default="truncate",
        help="from floats to integers: towards zero as demucs, or to the nearest "
        "(default: truncate)",
    )
    add(
        "--rate",
        choices=("model", "keep"),
        default="model",
        help="sample rate of the stems: the model's, or the track's (default: model)",
    )


def _add_files(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
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
    add("--resume", action="store_true", help="skip tracks whose stems are all there")
    kind = group.add_mutually_exclusive_group()
    kind.add_argument("--flac", action="store_true", help="write FLAC, not WAV")
    kind.add_argument("--mp3", action="store_true", help="write MP3, not WAV")
    depth = group.add_mutually_exclusive_group()
    depth.add_argument("--int24", action="store_true", help="write 24 bits, not 16")
    depth.add_argument("--float32", action="store_true", help="write float32 samples")
    add(
        "--mp3-bitrate",
        type=int,
        default=320,
        metavar="KBPS",
        help="bit rate of MP3 in kbit/s (default: 320)",
    )
    add(
        "--mp3-preset",
        type=int,
        choices=range(2, 8),
        default=2,
        help="2: best quality of MP3, 7: quickest (default: 2)",
    )
    add(
        "--report",
        type=Path,
        metavar="FILE",
        help="write the settings, and what became of each track, to a JSON file",
    )
