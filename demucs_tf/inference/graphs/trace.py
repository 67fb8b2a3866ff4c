"""From a model to a `tf.function` of its weights and inputs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from demucs_tf.inference.graphs.copies import Copies
from demucs_tf.inference.graphs.precision import Weights, lowered
from demucs_tf.utils.memory import without_collector
from demucs_tf.utils.quiet import import_tensorflow


def traced(
    model: Any,
    jit: bool = False,
    length: int | None = None,
    precision: str = "float32",
    batch: int | None = None,
    join: bool = True,
) -> Any:
    """A `tf.function` of the weights' values and the inputs, so that it fits any weights.

    Args:
        model: see `demucs_tf.inference.single.Model`.
        jit: let XLA compile it.
        length: of the mixture in samples; None: any.
        precision: of large products, which then take their weights in it.
        batch: how many mixtures at once; None: any.
        join: work out layers in one with their neighbours, which a GPU without XLA loses by.
    """
    tf = import_tensorflow()
    weights, inputs = _signature(model, length, precision, batch)
    # No function of ours: TensorFlow would count the traces of all models as those of one function,
    # and warn of too many.
    call = partial(with_values if join else layer_by_layer, model)
    signature = [weights, *inputs]
    return tf.function(call, input_signature=signature, jit_compile=jit, autograph=False)


# Names in every graph of `graph_of`: the weights are WEIGHT with their number.
WEIGHT, MIX, SHIFT, STEMS = "weight_", "mix", "shift", "stems"


def graph_of(model: Any, length: int | None, precision: str = "float32") -> Any:
    """Trace a model for a session: a `tf.Graph` with the names above.

    Args: see `traced`, which gives the same operations and takes longer.
    """
    tf = import_tensorflow()
    from demucs_tf.layers.base import repeating

    weights, inputs = _signature(model, length, precision)
    graph = _graph()
    with graph.as_default(), without_collector():

        def placeholder(spec: Any, name: str) -> Any:
            return tf.compat.v1.placeholder(spec.dtype, spec.shape, name)

        values = [placeholder(spec, f"{WEIGHT}{number}") for number, spec in enumerate(weights)]
        given = [placeholder(*pair) for pair in zip(inputs, (MIX, SHIFT), strict=False)]
        variables = map(id, getattr(model, "variables", []))
        with repeating(Copies(dict(zip(variables, values, strict=True)))):
            out = with_values(model, values, *given)
        tf.identity(out, STEMS)
    return graph


# Operations that are made once for the same inputs: constants, which else are 4 of 10, and what
# lengths are reckoned with.
_ONCE = {
    "Const", "Shape", "StridedSlice", "Unpack", "Pack",
    "AddV2", "Sub", "Mul", "FloorDiv", "Minimum", "Maximum", "Cast",
}  # fmt: skip


def _graph() -> Any:
    """An empty graph, in which what is worked out already is not worked out again; see `_ONCE`."""
    tf = import_tensorflow()

    class Graph(tf.Graph):  # type: ignore[name-defined]
        """Should TensorFlow no longer call this so, there are more operations, and nothing else."""

        def _create_op_internal(
            self, op_type: str, inputs: Any = None, *args: Any, **kwargs: Any
        ) -> Any:
            attributes = kwargs.get("attrs")
            if op_type not in _ONCE or inputs is None or attributes is None:
                return super()._create_op_internal(op_type, inputs, *args, **kwargs)
            values = {name: value.SerializeToString() for name, value in attributes.items()}
            key = op_type, *(each.ref() for each in inputs), *sorted(values.items())
            if key not in made:
                made[key] = super()._create_op_internal(op_type, inputs, *args, **kwargs)
            return made[key]

    made: dict[Any, Any] = {}
    return Graph()


def _signature(
    model: Any, length: int | None, precision: str, batch: int | None = None
) -> tuple[list[Any], list[Any]]:
    """What a graph takes: specifications of the weights, and of the other inputs."""
    tf = import_tensorflow()
    low = lowered(model, precision)
    weights = [
        tf.TensorSpec(variable.shape, precision if place in low else variable.dtype)
        for place, variable in enumerate(getattr(model, "variables", []))
    ]
    inputs = [tf.TensorSpec([batch, model.audio_channels, length], model.compute_dtype)]
    if hasattr(model, "draw_shift"):
        inputs.append(tf.TensorSpec([batch], tf.int32))
    return weights, inputs


def with_values(model: Any, values: list[Any], *inputs: Any) -> Any:
    """Run a model with these in place of its variables' values, layers joined."""
    from demucs_tf.layers.base import joined

    with joined():
        return layer_by_layer(model, values, *inputs)


def layer_by_layer(model: Any, values: list[Any], *inputs: Any) -> Any:
    """As `with_values`, without joining layers."""
    import keras

    with keras.StatelessScope(initialize_variables=False) as scope:
        for pair in zip(getattr(model, "variables", []), values, strict=True):
            scope.add_update(pair)  # which takes any precision
        return model(*inputs)


def eager(model: Any, precision: str) -> Callable[..., Any]:
    """`model` as a function that runs operation by operation."""
    if precision == "float32":
        run: Callable[..., Any] = model
        return run
    weights = Weights(model, precision)
    return lambda *inputs: with_values(model, weights(), *inputs)
