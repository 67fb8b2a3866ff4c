"""The options of every command, as dataclasses; those of `separate` have the reference's names.

Reference: demucs/separate.py::get_parser
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar, get_args

from demucs_tf import __version__
from demucs_tf.audio.format import Rounding
from demucs_tf.cluster.settings import ClusterSettings
from demucs_tf.errors import UsageError
from demucs_tf.inference.settings import Settings, option
from demucs_tf.utils.text import printable

DTYPES = ("float32", "float64")


@dataclass(frozen=True, kw_only=True)
class CommonOptions:
    """What every command has."""

    debug: bool = option(False, "show the traceback of an error", action="store_true")


@dataclass(frozen=True, kw_only=True)
class ModelOptions(CommonOptions):
    """Tracks, and the model for them."""

    tracks: Sequence[Path] = option(
        (),
        "audio file, folder, or pattern in quotes, e.g. 'songs/*.flac'",
        "tracks",
        nargs="*",
        type=Path,
        metavar="TRACK",
    )
    verbose: bool = option(False, "say more about each track", "-v", action="store_true")
    name: str = option(
        "htdemucs",
        "published name or signature, hf://NAMESPACE/NAME, or the path of a checkpoint or of an "
        "exported .tflite or .onnx file (default: htdemucs)",
        "-n",
        group="model",
        either="name",
    )
    sig: str | None = option(
        None, "signature of a single model", "-s", metavar="SIG", group="model", either="name"
    )
    repo: Path | None = option(
        None, "folder with the models for -n", type=Path, metavar="DIR", group="model"
    )
    allow_legacy: bool = option(
        False,
        "fetch .th files from the old server if the hub does not have a model",
        action="store_true",
        group="model",
    )
    list_models: bool = option(
        False, "list the models and exit", action="store_true", group="model"
    )
    dtype: str = option(
        "float32",
        "float64 computes everything in double precision, slowly (default: float32)",
        choices=DTYPES,
        group="model",
    )


@dataclass(frozen=True, kw_only=True)
class SeparateOptions(ClusterSettings, Settings, ModelOptions):
    """`demucs-tf separate`."""

    clip_mode: Literal["rescale", "clamp", "none"] = option(
        "rescale",
        "a stem above full scale is made quieter (rescale), cut at 0.99 (clamp), or cut at full "
        "scale, with --float32 not at all (none) (default: rescale)",
        choices=("rescale", "clamp", "none"),
        group="stems",
    )
    rounding: Rounding = option(
        "truncate",
        "from floats to integers: towards zero as demucs, or to the nearest (default: truncate)",
        choices=get_args(Rounding),
        group="stems",
    )
    rate: Literal["model", "keep"] = option(
        "model",
        "sample rate of the stems: the model's, or the track's (default: model)",
        choices=("model", "keep"),
        group="stems",
    )
    out: Path = option(
        Path("separated"),
        "where to put the stems, in a subfolder with the model's name (default: separated)",
        "-o",
        type=Path,
        metavar="DIR",
        group="files",
    )
    filename: str = option(
        "{folder}/{track}/{stem}.{ext}",
        "path of a stem in there, of {folder} (where the track lies below the folder that was "
        "given), {track}, {trackext}, {stem} and {ext} (default: {folder}/{track}/{stem}.{ext})",
        metavar="TEMPLATE",
        group="files",
    )
    resume: bool = option(
        False, "skip tracks whose stems are all there", action="store_true", group="files"
    )
    flac: bool = option(
        False, "write FLAC, not WAV", action="store_true", group="files", either="kind"
    )
    mp3: bool = option(
        False, "write MP3, not WAV", action="store_true", group="files", either="kind"
    )
    int24: bool = option(
        False, "write 24 bits, not 16", action="store_true", group="files", either="depth"
    )
    float32: bool = option(
        False, "write float32 samples", action="store_true", group="files", either="depth"
    )
    mp3_bitrate: int = option(
        320, "bit rate of MP3 in kbit/s (default: 320)", type=int, metavar="KBPS", group="files"
    )
    mp3_preset: int = option(
        2,
        "2: best quality of MP3, 7: quickest (default: 2)",
        type=int,
        choices=range(2, 8),
        group="files",
    )
    report: Path | None = option(
        None,
        "write the settings, and what became of each track, to a JSON file",
        type=Path,
        metavar="FILE",
        group="files",
    )


@dataclass(frozen=True, kw_only=True)
class ConvertOptions(CommonOptions):
    """`demucs-tf convert`."""

    source: str = option(
        MISSING,
        "a .th, .safetensors, .keras or .yaml file, a published name or signature, or "
        "hf://NAMESPACE/NAME",
        "source",
        metavar="IN",
    )
    target: Path = option(
        MISSING,
        "a .safetensors file (which demucs 4.1 loads, too), a .keras file, or for a bag a .yaml "
        "file, with a .safetensors file for each model beside it",
        "target",
        type=Path,
        metavar="OUT",
    )
    repo: Path | None = option(None, "folder to look for the name IN in", type=Path, metavar="DIR")
    dtype: str | None = option(None, "of the weights (default: as in IN)", choices=DTYPES)
    allow_legacy: bool = option(False, "allow .th packages of the legacy host", action="store_true")
    force: bool = option(False, "replace OUT if it is there", action="store_true")


@dataclass(frozen=True, kw_only=True)
class ExportOptions(CommonOptions):
    """`demucs-tf export`."""

    source: str = option(
        MISSING,
        "a published name or signature, hf://NAMESPACE/NAME, or a checkpoint's path",
        "source",
        metavar="MODEL",
    )
    format: str = option(
        MISSING,
        "saved-model: a folder for TensorFlow; tflite: a file for LiteRT; onnx: a file for ONNX "
        "Runtime and others",
        choices=("saved-model", "tflite", "onnx"),
        required=True,
    )
    target: Path = option(
        MISSING,
        "a .tflite or .onnx file, or a folder: for a SavedModel, and for a bag of several models",
        "-o",
        "--out",
        type=Path,
        metavar="PATH",
        required=True,
    )
    length: float | None = option(
        None, "length of a chunk (default: the model's)", type=float, metavar="SECONDS"
    )
    weights: str = option(
        "float32",
        "what the weights are stored as; float16 is for tflite and onnx, int8 for tflite "
        "(default: float32)",
        choices=("float32", "float16", "int8"),
    )
    any_length: bool | None = option(
        None,
        "let the file take any length besides, or not; by default where the model does and has no "
        "transformer",
        action=argparse.BooleanOptionalAction,
    )
    fuse: bool = option(False, "make one graph of all models of a bag", action="store_true")
    repo: Path | None = option(
        None, "folder to look for the name MODEL in", type=Path, metavar="DIR"
    )
    licence: str | None = option(None, "licence of the weights, kept in the file", metavar="TEXT")
    allow_legacy: bool = option(False, "allow .th packages of the legacy host", action="store_true")
    force: bool = option(False, "replace PATH if it is there", action="store_true")


@dataclass(frozen=True, kw_only=True)
class ListOptions(CommonOptions):
    """`demucs-tf list`."""

    repo: Path | None = option(None, "list the models of this folder", type=Path, metavar="DIR")


@dataclass(frozen=True, kw_only=True)
class InfoOptions(CommonOptions):
    """`demucs-tf info`."""

    file: Path = option(
        MISSING,
        "a .th, .safetensors, .keras or .yaml file, or what `export` wrote",
        "file",
        type=Path,
        metavar="FILE",
    )


@dataclass(frozen=True)
class Command:
    """A command: its options, the module whose `run` takes them, and what --help says."""

    options: type[Any]
    module: str
    help: str
    description: str
    usage: str | None = None


COMMANDS = {
    "separate": Command(
        SeparateOptions,
        "demucs_tf.cli.separate",
        "split tracks into stems; what is done without a command",
        "Split tracks into stems. The paths of the stems go to stdout, everything else to stderr.",
        "%(prog)s TRACK [TRACK ...] [-n NAME] [options]   (all options: --help)",
    ),
    "convert": Command(
        ConvertOptions,
        "demucs_tf.cli.convert",
        "write a model into a file of another format",
        "Write a model into a file, with the same weights. The paths of the files written go to "
        "stdout.",
    ),
    "export": Command(
        ExportOptions,
        "demucs_tf.cli.export",
        "write a model for another runtime",
        "Write a model into one file for another runtime: a waveform in, its stems out. The paths "
        "of what is written go to stdout.",
    ),
    "list": Command(
        ListOptions,
        "demucs_tf.cli.listing",
        "list the published models, or those of a folder",
        "List the published models and which of them are on this machine already, or the models "
        "of a folder.",
    ),
    "info": Command(
        InfoOptions,
        "demucs_tf.cli.info",
        "say what a checkpoint holds",
        "Say what a checkpoint holds: class, arguments, weights, checksum.",
    ),
}


class _Parser(argparse.ArgumentParser):
    """One whose errors are fit for a terminal: a pattern may give names of files as options."""

    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


def parsers() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The parser, and by name those of the commands."""
    parser = _Parser("demucs-tf", description="Demucs for TensorFlow and Keras.")
    parser.add_argument("--version", action="version", version=f"demucs-tf {__version__}")
    commands = parser.add_subparsers(
        title="commands", required=True, metavar="COMMAND", dest="command"
    )
    for name, command in COMMANDS.items():
        own = commands.add_parser(
            name, help=command.help, description=command.description, usage=command.usage
        )
        _add_options(own, command.options)
    return parser, dict(commands.choices)


def _add_options(parser: argparse.ArgumentParser, options: type[Any]) -> None:
    """An option for each field of a dataclass that says how."""
    groups: dict[str | None, Any] = {None: parser}
    for each in fields(options):
        if not each.metadata.get("help"):
            continue
        how = dict(each.metadata["how"])
        group, either = how.pop("group", None), how.pop("either", None)
        if group not in groups:
            groups[group] = parser.add_argument_group(group)
        if either and either not in groups:
            groups[either] = groups[group].add_mutually_exclusive_group()
        flags = list(each.metadata["flags"])
        if all(flag.startswith("-") and not flag.startswith("--") for flag in flags):
            flags.append(f"--{each.name.replace('_', '-')}")
        if flags[0].startswith("-"):
            how["dest"] = each.name
        if each.default is not MISSING:
            how["default"] = each.default
        groups[either or group].add_argument(*flags, help=each.metadata["help"], **how)


T = TypeVar("T")


def made(options: type[T], given: argparse.Namespace) -> T:
    """The options out of what argparse gives.

    Raises:
        UsageError: a value out of its range.
    """
    names = {each.name for each in fields(options)}  # type: ignore[arg-type]
    try:
        return options(**{name: value for name, value in vars(given).items() if name in names})
    except ValueError as error:
        raise UsageError(str(error)) from error
