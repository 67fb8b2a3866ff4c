"""The one table of cases: what runs, against what, within which tolerance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, get_args

from demucs_tf.inference.engine import RUNTIMES
from demucs_tf.inference.settings import Engine

# Relative L2 error. A layer alone is as exact as float32 lets it; over a whole model errors add up
# (1e-5 is an SNR of 100 dB); commands get weights in half precision and add chunks up; a GPU adds
# in an order of its own; bfloat16 has to keep 40 dB.
LAYER, MODEL, COMMAND, GPU, BFLOAT16 = 1e-5, 1e-5, 2e-5, 1e-4, 1e-2

# Engines besides those that every segment has; a new one is measured from the day it is there.
MORE = tuple(name for name in get_args(Engine) if name not in ("auto", "graph", "eager", *RUNTIMES))
PEERS = ("litert", "onnx", "openvino")  # exported files, each in its own runtime
COMPILE = 240  # seconds that torch.compile may take


@dataclass(frozen=True)
class Case:
    """One benchmark.

    `kind` is what runs it: a module of `benchmarks.kinds`. `ways` take turns, the first is the one
    that pytest-benchmark times, and `against` is the one that ratios are over. `options` are for
    the kind. `curve` is the axis along which the case, or its ways, are points. `full`: only with
    `--full`; `gpu`: only with `--gpu`.
    """

    name: str
    kind: str
    ways: tuple[str, ...]
    against: str
    tolerance: float
    rounds: int
    options: dict[str, Any] = field(default_factory=dict, hash=False)
    curve: str = ""
    full: bool = False
    gpu: bool = False


# Kind of layer, a model that has it, and its path there, which is that of the reference.
LAYERS = (
    ("Conv1d", "htdemucs", "tencoder.1.conv"),
    ("Conv2d", "htdemucs", "encoder.1.conv"),
    ("Conv2d 3x3", "htdemucs", "decoder.2.rewrite"),
    ("ConvTranspose1d", "htdemucs", "tdecoder.2.conv_tr"),
    ("ConvTranspose2d", "htdemucs", "decoder.2.conv_tr"),
    ("GroupNorm", "htdemucs", "encoder.1.dconv.layers.0.1"),
    ("GELU", "htdemucs", "encoder.1.dconv.layers.0.2"),
    ("GLU", "htdemucs", "encoder.1.dconv.layers.0.5"),
    ("LayerScale", "htdemucs", "encoder.1.dconv.layers.0.6"),
    ("DConv", "htdemucs", "encoder.1.dconv"),
    ("HEncLayer", "htdemucs", "encoder.1"),
    ("HDecLayer", "htdemucs", "decoder.2"),
    ("Linear", "htdemucs", "crosstransformer.layers.0.linear1"),
    ("LayerNorm", "htdemucs", "crosstransformer.layers.0.norm1"),
    ("self-attention", "htdemucs", "crosstransformer.layers.0.self_attn"),
    ("cross-attention", "htdemucs", "crosstransformer.layers.1.cross_attn"),
    ("transformer layer", "htdemucs", "crosstransformer.layers.0"),
    ("STFT", "htdemucs", ":stft"),
    ("inverse STFT", "htdemucs", ":istft"),
    ("resampling", "mdx_time", ":resample"),
    ("encoder of Demucs", "mdx_time", "encoder.1"),
    ("decoder of Demucs", "mdx_time", "decoder.3"),
    ("LSTM", "hdemucs_mmi", "encoder.4.dconv.layers.0.3.lstm"),
    ("BLSTM in frames", "hdemucs_mmi", "encoder.4.dconv.layers.0.3"),
    ("LocalState", "hdemucs_mmi", "encoder.4.dconv.layers.0.4"),
)
FAMILIES = ("htdemucs", "hdemucs_mmi", "mdx_time")
OTHERS = ("htdemucs_6s", "mdx_mask", "mdx_multi")
EVERY = (*FAMILIES, *OTHERS)


def _layers() -> Iterator[Case]:
    for name, model, path in LAYERS:
        options = {"model": model, "path": path}
        yield Case(f"layer/{name}", "layers", ("graph", "torch"), "torch", LAYER, 5, options)


# Group -> ways, what the kind is told, and which models need `--full`: htdemucs is converted in a
# minute and a half, others take many, and 9 GB.
SEGMENTS: dict[str, tuple[tuple[str, ...], dict[str, Any], tuple[str, ...]]] = {
    "segment": (("graph", "eager", "torch"), {}, OTHERS),
    "compiled": (("graph", *MORE, "torch", "torch.compile"), {"compile": COMPILE}, EVERY),
    "exported": (("graph", "torch", *PEERS), {}, EVERY[1:]),
}


def _segments() -> Iterator[Case]:
    for group, (ways, more, full) in SEGMENTS.items():
        for model in EVERY:
            name, options = f"{group}/{model}", {"model": model, **more}
            rounds = 3 if group == "exported" else 5  # of five ways
            yield Case(name, "segments", ways, "torch", MODEL, rounds, options, full=model in full)
    for model in FAMILIES:
        name, options = f"bfloat16/{model}", {"model": model}
        ways = ("bfloat16", "graph")
        short = model == "htdemucs"
        yield Case(name, "segments", ways, "graph", BFLOAT16, 5, options, full=not short)
    for model in FAMILIES:
        options = {"model": model, "device": "gpu"}
        ways = ("graph", "xla", "torch")
        yield Case(f"gpu/{model}", "segments", ways, "torch", GPU, 20, options, gpu=True)


def _tracks() -> Iterator[Case]:
    for model, seconds, full in (("htdemucs", 20, False), ("hdemucs_mmi", 60, True)):
        options = {"model": model, "seconds": seconds}
        name = f"track/{model}, {seconds} s"
        yield Case(name, "tracks", ("graph", "torch"), "torch", MODEL, 2, options, full=full)


def _commands() -> Iterator[Case]:
    both = ("demucs-tf", "demucs")
    for seconds, rounds in ((10, 3), (30, 3), (240, 2)):
        options = {"model": "htdemucs", "seconds": seconds}
        name, full = f"command/htdemucs, {seconds} s", seconds > 10
        yield Case(name, "commands", both, "demucs", COMMAND, rounds, options, full=full)
    ways = ("demucs-tf", "demucs-tf, graph kept", "demucs")
    yield Case("start/htdemucs", "starts", ways, "demucs", MODEL, 2, {"model": "htdemucs"})


def _curves() -> Iterator[Case]:
    both = ("demucs-tf", "demucs")
    for minutes in (0.5, 2, 5, 15, 30):  # with a small model, which is the same along the curve
        options = {"model": "small", "seconds": 60 * minutes}
        name, full = f"length/{minutes:g} minutes", minutes > 2
        yield Case(
            name, "commands", both, "demucs", COMMAND, 2, options, curve="minutes", full=full
        )
    for model, batches, full in (("mdx_time", (1, 4), False), ("htdemucs", (1, 2, 4, 8), True)):
        ways = tuple(f"{side} {count}" for side in ("graph", "torch") for count in batches)
        yield Case(
            f"batch/{model}", "batches", ways, "torch 1", MODEL, 3, {"model": model}, "batch", full
        )
    ways = tuple(f"{side} {count}" for side in ("graph", "torch") for count in (1, 2, 4))
    for model in FAMILIES:
        name, options = f"threads/{model}", {"model": model}
        yield Case(name, "threads", ways, "torch 1", MODEL, 3, options, "threads", full=True)


def _limit() -> Iterator[Case]:
    options = {"size": 4096}
    yield Case("limit/product", "products", ("graph", "torch"), "torch", LAYER, 7, options)


CASES: tuple[Case, ...] = (
    *_limit(),
    *_layers(),
    *_segments(),
    *_tracks(),
    *_commands(),
    *_curves(),
)
