"""A model's graph as TensorFlow hands it to XLA, in files that need no TensorFlow to run."""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from demucs_tf.checkpoints.weights import Place, places_of
from demucs_tf.errors import DemucsTFError
from demucs_tf.utils.atomic import write_whole

MLIR, ABOUT = ".mlir.xz", ".json"


@dataclass(frozen=True)
class About:
    """What a module takes and gives.

    Attributes:
        model: a name of `benchmarks.models`.
        shape: of the mixture (B, A, T), float32.
        shift: whether a shift (B), int32, comes last.
        places: the weights, which come first, in the layout of the port.
        tensorflow: the version that made it.
    """

    model: str
    shape: tuple[int, int, int]
    shift: bool
    places: tuple[Place, ...]
    tensorflow: str


def lower(port: Any, batch: int, length: int) -> bytes:
    """The StableHLO of one pass: its weights are arguments, its products full float32.

    It is lowered for a processor, since no card is there, but before XLA has made anything of it:
    what there is of one kind of machine in it, custom calls, is refused.

    Raises:
        DemucsTFError: it would not mean the same on a card.
    """
    import tensorflow as tf

    from demucs_tf.inference.graphs.trace import traced

    tf.config.experimental.enable_tensor_float_32_execution(False)
    run = traced(port, jit=True, length=length, batch=batch)
    inputs = tf.nest.map_structure(
        lambda spec: tf.zeros(spec.shape, spec.dtype), run.input_signature
    )
    lowered = run.experimental_get_compiler_ir(*inputs)
    check(lowered(stage="stablehlo"))
    module: bytes = lowered(stage="stablehlo_serialized")
    return module


_PRODUCTS = ("stablehlo.dot ", "stablehlo.dot_general", "stablehlo.convolution")


def check(text: str) -> None:
    """Refuse a module that another machine would not run, or would run with rounded products.

    Raises:
        DemucsTFError: with the line.
    """
    for line in text.splitlines():
        if "custom_call" in line:
            raise DemucsTFError(
                f"the module was expected to have operations of StableHLO alone, found a call of "
                f"what only this machine has: {line.strip()[:200]}. Leave it out of the model."
            )
        if any(name in line for name in _PRODUCTS) and "HIGHEST" not in line:
            raise DemucsTFError(
                f"products were expected in full float32, found {line.strip()[:200]}. Call "
                "tf.config.experimental.enable_tensor_float_32_execution(False) before any other."
            )


def about(port: Any, model: str, batch: int, length: int) -> About:
    """What to write beside the module."""
    import tensorflow as tf

    return About(
        model,
        (batch, port.audio_channels, length),
        hasattr(port, "draw_shift"),
        tuple(places_of(port)),
        tf.__version__,
    )


def write(folder: Path, names: Sequence[str], batches: Sequence[int]) -> Iterator[Path]:
    """Write models of `benchmarks.models` for these batch sizes: a pair of files each."""
    from benchmarks import models
    from benchmarks.kinds import sides

    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        port, length = models.port(name), sides.chunk(name).shape[-1]
        for batch in batches:
            told, module = about(port, name, batch, length), lower(port, batch, length)
            yield from put(folder / f"{name}-{batch}", told, module)


def put(stem: Path, told: About, module: bytes) -> tuple[Path, Path]:
    """Write a module and what there is to know of it."""
    paths = Path(f"{stem}{MLIR}"), Path(f"{stem}{ABOUT}")
    for path, content in zip(
        paths, (lzma.compress(module), json.dumps(asdict(told), indent=1).encode()), strict=True
    ):
        with write_whole(path) as new:
            new.write_bytes(content)
    return paths


def get(path: Path) -> tuple[About, bytes]:
    """Read a pair of files.

    Args:
        path: of the one that ends in `.json`.

    Raises:
        DemucsTFError: they are not what `put` writes.
    """
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        places = [
            Place(each["key"], tuple(each["shape"]), each["transform"]) for each in told["places"]
        ]
        found = About(**{**told, "shape": tuple(told["shape"]), "places": tuple(places)})
        module = lzma.decompress(Path(f"{path}".removesuffix(ABOUT) + MLIR).read_bytes())
    except (OSError, ValueError, KeyError, TypeError, lzma.LZMAError) as error:
        raise DemucsTFError(
            f"{path}: expected what `python -m benchmarks card write` writes, found something "
            f"else ({type(error).__name__}: {error}): write it again."
        ) from error
    return found, module
