"""One layer on what it hears in the reference's pass over one segment."""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.cases import LAYERS
from benchmarks.flops import counted
from benchmarks.kinds import sides
from benchmarks.kinds.steps import STEPS, Pair
from benchmarks.timing import Job, Outcome, Run
from parity.core import layouts
from parity.core.compare import Array
from parity.core.events import TENSOR, Event
from parity.demucs import SUBJECT

if TYPE_CHECKING:
    from benchmarks.cases import Case
    from benchmarks.kinds import Place

LONG_ENOUGH, MOST = 0.05, 100  # seconds, and repetitions


def job(case: Case, place: Place) -> Job:
    """The layer of both sides under the reference's path; ":name" is a step without a module."""
    model, path = case.options["model"], case.options["path"]
    pair = STEPS[path[1:]](model) if path.startswith(":") else _layer(model, path)
    runs = {"graph": _often(pair.ours), "torch": _often(pair.theirs)}
    return Job(
        ways={way: partial(runs.__getitem__, way) for way in case.ways},
        against=case.against,
        flop=pair.flop,
        layouts={"graph": partial(layouts.to_reference, layout=pair.layout)},
    )


def _often(run: Callable[[], Array]) -> Run:
    """A run that is repeated until it is long enough for the clock; seconds are those of one."""
    count = 0

    def repeated() -> Outcome:
        nonlocal count
        if not count:  # verified
            output = run()
            count = min(MOST, math.ceil(LONG_ENOUGH / _seconds(run, 1)))
            return Outcome({"output": output})
        return Outcome({}, {"seconds": _seconds(run, count) / count})

    return repeated


def _seconds(run: Callable[[], Array], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        run()
    return time.perf_counter() - start


def _layer(model: str, path: str) -> Pair:
    import torch

    module = sides.the_reference(model).get_submodule(path)
    args, kwargs = _calls(model)[path]
    output, flop = counted(lambda: module(*args, **kwargs))
    tensors = [v for v in (*args, *kwargs.values()) if isinstance(v, torch.Tensor)]
    arrays = [tensor.numpy() for tensor in tensors]
    event = Event(path, 0, "module", type(module).__name__, "", arrays, [_first(output).numpy()])
    declared, (layout, *_) = SUBJECT.layouts_of(event)

    def theirs() -> Array:
        with torch.no_grad():
            result: Array = _first(module(*args, **kwargs)).numpy()
        return result

    ours = _of_port(model, path, args, list(map(layouts.to_port, arrays, declared)))
    return Pair(theirs, ours, layout, flop or None)


def _of_port(
    model: str, path: str, args: tuple[Any, ...], inputs: list[Array]
) -> Callable[[], Array]:
    import tensorflow as tf

    layer = SUBJECT.layers(sides.the_port(model))[path]
    tensors = [tf.constant(array) for array in inputs]
    marked = [TENSOR if hasattr(value, "numpy") else value for value in args]
    named = zip(inspect.signature(layer.call).parameters, marked, strict=False)
    numbers = {key: v for key, v in named if v is not None and not isinstance(v, str)}
    graph = tf.function(lambda *values: _first(layer(*values, **numbers)), autograph=False)
    return lambda: np.asarray(graph(*tensors))


def _first(output: Any) -> Any:
    """The tensor that the model goes on with."""
    return output[0] if isinstance(output, (tuple, list)) else output


@cache
def _calls(model: str) -> dict[str, tuple[tuple[Any, ...], dict[str, Any]]]:
    """What each layer of the table is first called with, in one pass of the reference."""
    import torch

    module = sides.the_reference(model)
    found: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {}

    def hook(path: str, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        found.setdefault(path, (args, kwargs))

    paths = [path for _, name, path in LAYERS if name == model and not path.startswith(":")]
    handles = [
        module.get_submodule(path).register_forward_pre_hook(partial(hook, path), with_kwargs=True)
        for path in paths
    ]
    with torch.no_grad():
        module(torch.from_numpy(sides.chunk(model)))
    for handle in handles:
        handle.remove()
    return found
