"""From a model or a bag to one traced function: `mix` (B, A, T) -> `stems` (B, S, A, T)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from demucs_tf.checkpoints.weights import read_state
from demucs_tf.errors import ExportError
from demucs_tf.export.lengths import Lengths, lengths_of_one
from demucs_tf.models.bag import BagOfModels
from demucs_tf.utils.quiet import import_tensorflow

if TYPE_CHECKING:
    from demucs_tf.layers.base import Observer


def forward(model: Any, lengths: Lengths | None) -> Callable[[Any], Any]:
    """A model or a bag as a function of tensors.

    Args:
        lengths: of the input; None: members of a bag take the input as it is, of any length.
    """
    if not isinstance(model, BagOfModels):
        # An export is a function: positions are not shifted at random.
        return (lambda mix: model(mix, shift=0)) if hasattr(model, "draw_shift") else model
    return lambda mix: _weighted(model, mix, lengths)


def _weighted(bag: BagOfModels, mix: Any, lengths: Lengths | None) -> Any:
    """The members' average, source by source, as `apply_model` takes it.

    Reference: demucs/apply.py:201-229
    """
    tf = import_tensorflow()
    table = np.array(bag.weights, np.float32)[:, :, None, None]  # (M, S, 1, 1)
    total: Any = None
    for member, weights in zip(bag.models, table, strict=True):
        if weights.any():
            stems = _member(member, mix, lengths) * weights
            total = stems if total is None else total + stems
    stems = (
        total
        / np.array([sum(column) for column in zip(*bag.weights, strict=True)], np.float32)[
            :, None, None
        ]
    )
    if lengths is None or lengths.length == lengths.segment:
        return stems
    after = lengths.length - lengths.segment - lengths.before
    return tf.pad(stems, [[0, 0], [0, 0], [0, 0], [lengths.before, after]])


def _member(member: Any, mix: Any, lengths: Lengths | None) -> Any:
    """The stems of one member for the chunk, which stands in the middle of its input as well."""
    if lengths is None:
        return forward(member, None)(mix)
    own = lengths_of_one(member, lengths.segment)
    start = lengths.before - own.before
    stems = forward(member, None)(mix[..., start : start + own.length])
    return stems[..., own.before : own.before + own.segment]


@dataclass(frozen=True)
class Watch:
    """Collects tensors while a model is traced, which then come out of the graph as well.

    Attributes:
        observer: see `demucs_tf.layers.base.observe`; it puts tensors into `tensors`.
        tensors: by the names that the outputs get.
    """

    observer: Observer
    tensors: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Traced:
    """A graph whose weights are constants.

    Attributes:
        function: TensorFlow's concrete function: `mix` and `inputs` -> `stems` and `outputs`.
        outputs: names of its outputs.
        inputs: what its inputs behind `mix` are to be in the file: constants that a converter must
            not multiply weights with.
        large: how many numbers a weight has at least that was rounded.
    """

    function: Any
    outputs: tuple[str, ...]
    inputs: tuple[Any, ...] = ()
    large: int = 0


def trace(
    model: Any,
    lengths: Lengths,
    *,
    batch: int | None,
    time: int | None,
    rounded: bool = False,
    watch: Watch | None = None,
    arrays: bool = True,
    in_one: bool = False,
) -> Traced:
    """Trace a float32 model for another runtime, with its weights as constants.

    Args:
        model: a model or a bag.
        lengths: see `lengths_of`.
        batch: B; None: any.
        time: T; None: any.
        rounded: round the large weights to what float16 holds, and keep factors of whole layers
            apart, which converters would multiply the weights with.
        watch: what else is to come out.
        arrays: see `demucs_tf.layers.base.portable`.
        in_one: work out layers in one with their neighbours, see `demucs_tf.layers.base.joined`.
    """
    tf = import_tensorflow()
    from demucs_tf.layers.base import joined, observe, portable

    run = forward(model, lengths if time is not None else None)
    weights = _Weights(model, rounded)
    names: list[str] = ["stems"]

    def call(mix: Any, *factors: Any) -> list[Any]:
        together = joined() if in_one else nullcontext()
        seen = observe(watch.observer if watch else None)
        with portable(arrays), together, seen, weights.replaced_by(factors):
            stems = run(mix)
        extra = dict(watch.tensors) if watch else {}
        names[1:] = extra
        return [tf.identity(each) for each in (stems, *extra.values())]

    mix = tf.TensorSpec([batch, model.audio_channels, time], tf.float32, name="mix")
    more = [
        tf.TensorSpec(each.shape, tf.float32, name=f"factor_{n}")
        for n, each in enumerate(weights.factors)
    ]
    function = tf.function(call, input_signature=[mix, *more], autograph=False)
    graph = function.get_concrete_function()
    return Traced(graph, tuple(names), weights.factors, weights.large)


class _Weights:
    """A model's weights as constants.

    Attributes:
        factors: those that stay apart, and come as inputs.
        large: how many numbers a weight has at least that is rounded to float16; 0: none is.
    """

    def __init__(self, model: Any, rounded: bool) -> None:
        models = model.models if isinstance(model, BagOfModels) else [model]
        variables = {id(v): v for each in models for v in each.variables}.values()
        self._factors = [v for v in variables if rounded and _is_factor(v)]
        self._others = [v for v in variables if not (rounded and _is_factor(v))]
        # Read outside of the graph, which has no values.
        values = [np.asarray(v) for v in self._others]
        self.large = _large(values) if rounded else 0
        self._values = [_rounded(each, self.large) for each in values] if rounded else values
        self.factors = tuple(map(np.asarray, self._factors))

    def replaced_by(self, factors: tuple[Any, ...]) -> Any:
        """Put constants and `factors` in place of the variables inside the block."""
        import keras

        pairs = [*zip(self._factors, factors, strict=True)]
        constant = import_tensorflow().constant
        pairs += [(v, constant(each)) for v, each in zip(self._others, self._values, strict=True)]
        return keras.StatelessScope(state_mapping=pairs, initialize_variables=False)


def _is_factor(variable: Any) -> bool:
    """Whether it scales a layer's channels, as a LayerScale does and a norm's weight."""
    return variable.name == "scale" or (variable.name == "weight" and len(variable.shape) == 1)


# How many of all numbers, those of the smallest weights, stay as they are. Such are the outermost
# layers: of htdemucs_6s nine tenths of the error would be theirs.
_KEPT = 0.015


def _large(values: Sequence[Any]) -> int:
    """How many numbers a weight must have to be rounded."""
    sizes = np.sort([each.size for each in values if each.ndim > 1])
    return int(sizes[np.searchsorted(np.cumsum(sizes), _KEPT * sizes.sum(), side="right")])


def _rounded(values: Any, large: int) -> Any:
    """As float16 has them; those of small weights, of norms and of biases as they are."""
    if values.ndim < 2 or values.size < large:
        return values
    return values.astype(np.float16).astype(np.float32)


def check(model: Any) -> None:
    """Refuse what can't be exported.

    Raises:
        ExportError: no model of ours, or one in float64.
    """
    from demucs_tf.models.ports import PORTS

    models = model.models if isinstance(model, BagOfModels) else [model]
    for each in models:
        if type(each) not in PORTS.values():
            raise ExportError(
                f"expected a model of demucs_tf or a bag of them, got a {type(each).__name__}."
            )
    if models[0].compute_dtype != "float32":
        raise ExportError(
            f"expected a float32 model, got {models[0].compute_dtype}: load it with "
            'dtype="float32".'
        )


def weights_sha256(model: Any) -> str:
    """SHA-256 of a model's weights under the reference's keys; of a bag's, of its members'."""
    digest = hashlib.sha256()
    if isinstance(model, BagOfModels):
        for each in model.models:
            digest.update(weights_sha256(each).encode())
        return digest.hexdigest()
    for key, array in sorted(read_state(model).items()):
        digest.update(f"{key}\0{array.shape}\0".encode())
        digest.update(np.ascontiguousarray(array, np.float32).tobytes())
    return digest.hexdigest()
