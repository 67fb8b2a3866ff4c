"""How a model is applied: the one list of settings, which check themselves.

`apply_model`, `Separator` and the command share it. Nothing heavy is imported, for --help.
"""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Literal, SupportsIndex, TypeVar, get_args

from demucs_tf.models.ranges import LONGEST_SEGMENT, SHORTEST_SEGMENT
from demucs_tf.utils.text import brief

Callback = Callable[[dict[str, Any]], None]
Engine = Literal["auto", "graph", "xla", "eager", "litert", "onnx"]
Precision = Literal["float32", "bfloat16"]
OtherMethod = Literal["add", "minus", "none"]


def option(default: Any = MISSING, help: str | None = None, *flags: str, **how: Any) -> Any:
    """A field of a dataclass that is an option of the command as well.

    Args:
        default: of the field.
        help: what --help says; None: the command does not have it.
        flags: short ones, and one in place of `--name-of-the-field`.
        how: passed on to argparse. `group`: the heading it stands under; `either`: options of which
            only one can be given have the same.
    """
    return field(default=default, metadata={"help": help, "flags": flags, "how": how})


@dataclass(frozen=True)
class Settings:
    """How to apply a model; see `demucs_tf.Separator` for what they mean.

    The order is that of the reference's Separator, with what it lacks behind.

    Raises:
        ValueError: a value out of its range.
    """

    device: str | None = option(
        None, "cpu, gpu or gpu:1 (default: a GPU if there is one)", "-d", group="model"
    )
    shifts: int = option(
        1,
        "average over N random shifts: better and N times slower; 0: no shift (default: 1)",
        type=int,
        metavar="N",
        group="separation",
    )
    overlap: float = option(
        0.25,
        "overlap of neighbouring chunks, 0 to below 1 (default: 0.25)",
        type=float,
        metavar="SHARE",
        group="separation",
    )
    split: bool = option(
        True,
        "take the track as one chunk, which needs much memory",
        "--no-split",
        action="store_false",
        group="separation",
        either="split",
    )
    segment: float | None = option(
        None,
        "length of a chunk (default: the model's)",
        type=float,
        metavar="SECONDS",
        group="separation",
        either="split",
    )
    jobs: int = option(
        0,
        "work on N chunks at a time, with N times the memory (default: 0, one)",
        "-j",
        type=int,
        metavar="N",
        group="model",
    )
    progress: bool = False
    callback: Callback | None = None
    callback_arg: dict[str, Any] | None = None
    seed: int | None = option(
        None, "draw the same shifts each time", type=int, metavar="N", group="separation"
    )
    batch_size: int = option(
        1, "give the model N chunks together (default: 1)", type=int, metavar="N", group="model"
    )
    engine: Engine = option(
        "auto",
        "how TensorFlow runs the model, or for an exported file its runtime, litert or onnx "
        "(default: auto, which is graph, or the file's)",
        choices=get_args(Engine),
        group="model",
    )
    two_stems: str | None = option(
        None,
        "write only STEM and what is not STEM",
        metavar="STEM",
        group="stems",
        either="which stems",
    )
    other_method: OtherMethod = option(
        "add",
        "what is not STEM: the sum of the other stems (add), the track minus STEM (minus), or "
        "nothing (none); with the last two, models of a bag that STEM does not need are left out "
        "(default: add)",
        choices=get_args(OtherMethod),
        group="stems",
    )
    transition_power: float = 1.0
    stems: tuple[str, ...] | None = option(
        None,
        "write only these, of the model's stems and no_STEM, e.g. drums,no_vocals; models of a bag "
        "that they do not need are left out",
        type=lambda names: tuple(names.split(",")),
        metavar="STEM,...",
        group="stems",
        either="which stems",
    )
    precision: Precision = option(
        "float32",
        "bfloat16 works out large products in that, for two thirds of the time and an error at "
        "about -45 dB, on processors and GPUs that have it (default: float32)",
        choices=get_args(Precision),
        group="model",
    )

    def __post_init__(self) -> None:
        if self.device is not None:  # a torch.device, as the reference takes it
            object.__setattr__(self, "device", str(self.device))
        if isinstance(self.seed, SupportsIndex):  # NumPy's, which `random` does not take
            object.__setattr__(self, "seed", operator.index(self.seed))
        if isinstance(self.stems, list):
            object.__setattr__(self, "stems", tuple(self.stems))
        for name, (wanted, fits) in _RANGES.items():
            value = getattr(self, name)
            try:
                fine = bool(fits(value))
            except (TypeError, ValueError):  # it can't even be compared
                fine = False
            if not fine:
                name = "num_workers" if name == "jobs" else name
                raise ValueError(f"{name} must be {wanted}, got {brief(value)}.")


def _one_of(choices: tuple[str, ...]) -> tuple[str, Callable[[Any], bool]]:
    return f"one of {', '.join(choices)}", lambda value: value in choices


# What is wanted in words, and whether a value is that. May raise for what is of another type.
_RANGES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "shifts": ("from 0 to 1000000", lambda count: 0 <= operator.index(count) <= 10**6),
    "overlap": ("at least 0 and below 1", lambda share: 0 <= share < 1),
    "transition_power": ("1 or more", lambda power: 1 <= power < math.inf),
    "segment": (
        f"from {SHORTEST_SEGMENT} to {LONGEST_SEGMENT} seconds",
        lambda time: (
            time is None
            or (not isinstance(time, bool) and SHORTEST_SEGMENT <= time <= LONGEST_SEGMENT)
        ),
    ),
    "jobs": ("0 or more", lambda count: operator.index(count) >= 0),
    "batch_size": ("1 or more", lambda count: operator.index(count) >= 1),
    "seed": (
        "a number, a text or None",
        lambda seed: isinstance(seed, (int, float, str, bytes, type(None))),
    ),
    "stems": (
        "names of stems, each once, or None; and not with two_stems",
        lambda names: (
            names is None or (isinstance(names, tuple) and len(names) == len(set(names)) > 0)
        ),
    ),
    "callback": ("a function or None", lambda call: call is None or callable(call)),
    "callback_arg": (
        "a dictionary or None",
        lambda values: values is None or isinstance(values, Mapping),
    ),
    "engine": _one_of(get_args(Engine)),
    "precision": _one_of(get_args(Precision)),
    "other_method": _one_of(get_args(OtherMethod)),
}


_SIGNATURE = inspect.signature(Settings)
F = TypeVar("F", bound=Callable[..., Any])


def takes_settings(function: F) -> F:
    """Let a function that ends in `*settings, **more` say which it takes, in their order."""
    signature = inspect.signature(function)
    kept = [each for each in signature.parameters.values() if each.kind not in _VARIABLE]
    positional = [each for each in kept if each.kind is not inspect.Parameter.KEYWORD_ONLY]
    parameters = [*positional, *_SIGNATURE.parameters.values(), *kept[len(positional) :]]
    function.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return function


_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def named(function: str, values: tuple[Any, ...], more: dict[str, Any]) -> dict[str, Any]:
    """Settings by name that were given by position and by name.

    Raises:
        TypeError: too many, one twice, or one that there is not; for `function`.
    """
    try:
        return dict(_SIGNATURE.bind_partial(*values, **more).arguments)
    except TypeError as error:
        known = ", ".join(_SIGNATURE.parameters)
        raise TypeError(f"{function}: {error}; the settings are {known}.") from None


def settings_of(options: Settings) -> dict[str, Any]:
    """Those of a subclass that has more fields."""
    return {each.name: getattr(options, each.name) for each in fields(Settings)}
