"""Products in bfloat16: where there are any, and which weights they take."""

from __future__ import annotations

import logging
import math
import os
import sys
from collections.abc import Sequence
from functools import cache
from threading import Lock
from typing import Any

from demucs_tf.utils import processor
from demucs_tf.utils.quiet import import_tensorflow
from demucs_tf.utils.runtime import import_runtime

_log = logging.getLogger("demucs_tf")

# Numbers of a weight for each number that its product reads and writes. Below, a product waits for
# memory, and conversions would cost more than it gains.
_WORTH = 64
_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")  # on x86 and ARM
# Settings of ONEDNN_MAX_CPU_ISA that do not let it use them.
_WITHOUT = (*processor.BEFORE_AVX512, "AVX512_CORE", "AVX512_CORE_VNNI")
_CAPABILITY = (8, 0)  # of GPUs


def in_reach(precision: str, place: str | None) -> str:
    """The precision that products get: float32, with a warning, where there is no bfloat16.

    Args:
        precision: "float32" or "bfloat16", what is wanted.
        place: TensorFlow's name of a device; None: its choice.
    """
    if precision == "float32":
        return precision
    missing = _missing(place)
    if missing:
        _warn_once(f"{missing}: products stay in float32, as precision float32 has them.")
    return "float32" if missing else precision


def unrounded() -> None:
    """Let a GPU multiply numbers in float32 as they are: TensorFlow rounds them to TF32 there.

    It holds for the whole process. So commands call it, and no other function does.
    """
    if "tensorflow" in sys.modules:  # else an exported file is run, on the processor
        import_runtime().enable_tensor_float_32_execution(False)


@cache
def _warn_once(text: str) -> None:
    _log.warning("%s", text)


def _missing(place: str | None) -> str | None:
    """What is in the way of bfloat16; None: nothing."""
    tf = import_tensorflow()
    gpus = tf.config.list_logical_devices("GPU")
    if gpus and not (place or "").startswith("CPU"):
        index = int((place or "GPU:0").partition(":")[2])
        card = tf.config.list_physical_devices("GPU")[index]
        details = tf.config.experimental.get_device_details(card)
        found = details.get("compute_capability", (0, 0))
        if tuple(found) >= _CAPABILITY:
            return None
        has, wants = (".".join(map(str, each)) for each in (found, _CAPABILITY))
        return f"bfloat16 needs a GPU of compute capability {wants}, and this one has {has}"
    return _missing_on_cpu()


def _missing_on_cpu() -> str | None:
    if not processor.has(*_FLAGS):
        return "this processor has no products in bfloat16 (AVX512_BF16 or AMX_BF16)"
    most = processor.held_to()
    if most in _WITHOUT:
        return f"ONEDNN_MAX_CPU_ISA={most} keeps oneDNN from products in bfloat16"
    if os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0":
        return "TF_ENABLE_ONEDNN_OPTS=0 leaves out oneDNN, which has the products in bfloat16"
    return None


def lowered(model: Any, precision: str) -> frozenset[int]:
    """The variables of a model, by their number, that its products take in bfloat16."""
    if precision == "float32":
        return frozenset()
    from demucs_tf.layers.base import named_layers

    places = {id(variable): place for place, variable in enumerate(model.variables)}
    factors = (
        getattr(layer, name)
        for _, layer in named_layers(model)
        for name in getattr(layer, "factors", ())
    )
    return frozenset(places[id(each)] for each in factors if _is_large(each.shape))


def _is_large(shape: Sequence[int]) -> bool:
    return math.prod(shape) >= _WORTH * (shape[-1] + shape[-2])


class Weights:
    """The values of a model's variables; those in bfloat16 are converted once, at the first call.

    Calls may come from several threads.
    """

    def __init__(self, model: Any, precision: str) -> None:
        self._variables = list(getattr(model, "variables", []))
        self._lowered = lowered(model, precision)
        self._converted: dict[int, Any] = {}
        self._lock = Lock()

    def __call__(self) -> list[Any]:
        """Tensors and variables, in the order of the model's variables."""
        if self._lowered:
            self._convert()
        values = enumerate(self._variables)
        return [self._converted.get(n, variable.value) for n, variable in values]

    def _convert(self) -> None:
        tf = import_tensorflow()
        with self._lock:
            for place in self._lowered - self._converted.keys():
                self._converted[place] = tf.cast(self._variables[place].value, tf.bfloat16)
