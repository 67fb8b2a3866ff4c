"""Run a model's graphs on the processor: optimised once, by sessions of their own.

TensorFlow optimises a `tf.function` whenever a process first calls it, which takes as long as a
segment or two of music. A session can say what it has made of a graph, and another can be told to
take that as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from demucs_tf.inference.graphs.bare import BareModel
from demucs_tf.inference.graphs.kept import Kept
from demucs_tf.inference.graphs.trace import MIX, STEMS, WEIGHT, graph_of
from demucs_tf.utils.memory import without_collector
from demucs_tf.utils.quiet import import_tensorflow
from demucs_tf.utils.runtime import import_runtime

Array = npt.NDArray[Any]

_KERNEL = "_kernel"  # the one private attribute that decides what is run


class Graphs:
    """The graphs of one architecture: one for the length that it was trained on, one for others.

    Each is made when it is first needed. Calls may come from several threads.

    Args:
        model: of ours.
        kept: where graphs are looked for and put; None: nowhere.
        precision: of large products.
    """

    def __init__(self, model: Any, kept: Kept | None, precision: str = "float32") -> None:
        self._model = model
        self._kept = kept
        self._precision = precision
        trained = getattr(model.config, "use_train_segment", False)
        self._length: int | None = model.training_length if trained else None
        self._sessions: dict[int | None, _Session] = {}
        self._lock = Lock()

    def __call__(self, weights: Callable[[], Sequence[Any]], *inputs: Array) -> Array:
        """Run the model with these weights, arrays or tensors, in the order of its variables.

        They are asked for once there is a graph.
        """
        length = inputs[0].shape[-1] if inputs[0].shape[-1] == self._length else None
        with self._lock:
            if length not in self._sessions:
                self._sessions[length] = self._session(length)
        return self._sessions[length](weights(), inputs)

    def _session(self, length: int | None) -> _Session:
        if self._kept is None:
            return _Session(self._graph(length))
        key = self._kept.key(self._model, length, self._precision)
        found = self._kept.find(key)
        if found is not None:
            try:
                return _Session(_loaded(found), optimised=True)
            except Exception:  # whole, and yet not for this TensorFlow
                self._kept.drop(key)
        return _Session(self._graph(length), partial(self._kept.put, key))

    def _graph(self, length: int | None) -> Any:
        model = self._model.outline() if isinstance(self._model, BareModel) else self._model
        return graph_of(model, length, self._precision)


def _loaded(graph_def: Any) -> Any:
    runtime = import_runtime()
    graph = runtime.Graph()
    with graph.as_default(), without_collector():
        runtime.import_graph_def(graph_def, name="")
    return graph


class _Session:
    """A graph that runs.

    Args:
        graph: of `graph_of`, or what became of one.
        put: called once, with what TensorFlow has made of it.
        optimised: take it as it is.
    """

    def __init__(self, graph: Any, put: Any = None, optimised: bool = False) -> None:
        runtime = import_runtime()
        self._put = put
        config = runtime.ConfigProto(
            device_count={"GPU": 0},
            intra_op_parallelism_threads=runtime.get_intra_op_parallelism_threads(),
            inter_op_parallelism_threads=runtime.get_inter_op_parallelism_threads(),
        )
        if optimised:
            config.graph_options.rewrite_options.disable_meta_optimizer = True
            config.graph_options.optimizer_options.opt_level = -1
        else:
            rewriting = config.graph_options.rewrite_options
            rewriting.meta_optimizer_iterations = rewriting.ONE  # a second finds 4 of 6,300 nodes
            rewriting.memory_optimization = rewriting.NO_MEM_OPT  # which swaps and recomputes
            rewriting.layout_optimizer = rewriting.OFF  # which is for GPUs
            # It folds 30 of 5,500 nodes, for a fifth of the optimiser's time.
            rewriting.constant_folding = rewriting.OFF
        feeds = [node.name for node in graph.get_operations() if node.type == "Placeholder"]
        self._feeds = sorted(feeds, key=_place)
        session = runtime.Session(graph=graph, config=config)
        self._run = session.make_callable(
            f"{STEMS}:0", [f"{name}:0" for name in self._feeds], accept_options=True
        )

    def __call__(self, weights: Sequence[Any], inputs: Sequence[Array]) -> Array:
        values = [_in_place(each) for each in (*weights, *inputs)]
        put, self._put = self._put, None
        if put is None:
            return np.asarray(self._run(*values))
        runtime = import_runtime()
        options, told = runtime.RunOptions(output_partition_graphs=True), runtime.RunMetadata()
        out = self._run(*values, options=options, run_metadata=told)
        if len(told.partition_graphs) == 1:
            put(_with_names(told.partition_graphs[0]))
        return np.asarray(out)


def _in_place(value: Any) -> Array:
    """An array in the memory of a tensor or variable, or the array that it is."""
    if isinstance(value, np.ndarray):
        return value
    tensor = import_tensorflow(keras=False).convert_to_tensor(value)
    if tensor.dtype.name == "bfloat16":  # which Python's buffers do not have
        return np.asarray(tensor)
    return np.asarray(memoryview(tensor))


def _place(feed: str) -> tuple[int, int]:
    """Where an input comes: weights in their order, the mixture, the shift."""
    if feed.startswith(WEIGHT):
        return 0, int(feed.removeprefix(WEIGHT))
    return (1, 0) if feed == MIX else (2, 0)


def _with_names(graph: Any) -> Any:
    """What a session has made of a graph, with inputs and outputs that have names again."""
    made = import_runtime().GraphDef(versions=graph.versions, library=graph.library)
    names: dict[str, str] = {}
    for node in graph.node:
        fed = re.fullmatch(r"_arg_(.+)_\d+_\d+", node.name)
        if node.op == "_Arg" and fed:
            names[node.name] = fed[1]
    for node in graph.node:
        if node.op == "_Retval":
            continue
        copy = made.node.add()
        copy.CopyFrom(node)
        copy.device = ""  # there is one, and Python reads the name of each
        for attribute in [name for name in node.attr if name.startswith("_") and name != _KERNEL]:
            del copy.attr[attribute]
        if node.name in names:
            copy.Clear()
            copy.name, copy.op = names[node.name], "Placeholder"
            copy.attr["dtype"].type = node.attr["T"].type
        for index, source in enumerate(copy.input):
            name, colon, output = source.removeprefix("^").partition(":")
            if name in names:
                copy.input[index] = "^" * source.startswith("^") + names[name] + colon + output
    return made
