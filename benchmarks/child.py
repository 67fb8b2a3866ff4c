"""A start, stage by stage, in a process of its own: `python -m benchmarks.child JSON`.

The JSON is an object of the arguments of `start`; the last line that is printed is one of figures.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from parity.core.compare import Array

Figures = dict[str, float]
Forward = Callable[[Array], Any]


@contextmanager
def stage(figures: Figures, name: str) -> Iterator[None]:
    """Note how long something takes."""
    start = time.perf_counter()
    yield
    figures[name] = figures.get(name, 0.0) + time.perf_counter() - start


def start(side: str, file: str, preset: str, threads: int, length: int, out: str) -> Figures:
    """Import, load, trace and run twice; the stems of the second pass go to `out`.

    Args:
        side: see `SIDES`.
        file: weights, in safetensors.
        preset: what the reference's class and arguments are.
        threads: that either framework may use.
        length: samples of the noise that is heard.
        out: a `.npy` file.
    """
    figures: Figures = {}
    mix = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 2, length)).astype(np.float32)
    run = SIDES[side](figures, file, preset, threads)
    with stage(figures, "first pass"):
        run(mix)
    figures["first pass"] -= figures.get("trace", 0.0)
    with stage(figures, "second pass"):
        stems = np.asarray(run(mix))
    np.save(out, stems)
    return figures


def _port(figures: Figures, file: str, preset: str, threads: int) -> Forward:
    with stage(figures, "import"):
        import tensorflow as tf

        import demucs_tf
        import demucs_tf.inference.engine
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    with stage(figures, "load"):
        model = demucs_tf.load_model(file)
    return _watched(figures, model)


def _port_of_the_command(figures: Figures, file: str, preset: str, threads: int) -> Forward:
    """As `demucs-tf separate` does: with the graph of a run before this one, if there was one."""
    with stage(figures, "import"):
        from demucs_tf.inference.graphs.kept import keep_graphs
        from demucs_tf.inference.separator import Separator
        from demucs_tf.utils.runtime import import_runtime

        import_runtime().set_intra_op_parallelism_threads(threads)
    with keep_graphs(Path(file).with_name("graphs")):
        with stage(figures, "load"):
            model = Separator(file).model
        return _watched(figures, model)


def _watched(figures: Figures, model: Any) -> Forward:
    """Run a model, and count the time in which a graph is made of its layers.

    The first pass brings that. Who finds the graph elsewhere traces nothing, and this says so.
    """
    from demucs_tf.inference.engine import forward_function
    from demucs_tf.inference.graphs import session

    figures["trace"] = 0.0
    make = session.graph_of

    def watched(*arguments: Any) -> Any:
        with stage(figures, "trace"):
            return make(*arguments)

    session.graph_of = watched  # type: ignore[assignment]
    run = forward_function(model)
    shifts = [np.zeros(1, np.int32)] if hasattr(model, "draw_shift") else []
    return lambda mix: run(mix, *shifts)


def _reference(figures: Figures, file: str, preset: str, threads: int) -> Forward:
    with stage(figures, "import"):
        import torch
        from safetensors.numpy import load_file

        from benchmarks.models import untrained
    torch.set_num_threads(threads)
    with stage(figures, "load"):
        module = untrained(preset)
        state = {key: torch.from_numpy(array) for key, array in load_file(file).items()}
        module.load_state_dict(state)

    def run(mix: Array) -> Any:
        with torch.no_grad():
            return module(torch.from_numpy(mix)).numpy()

    return run


SIDES: dict[str, Callable[[Figures, str, str, int], Forward]] = {
    "demucs-tf": _port,
    "demucs-tf, graph kept": _port_of_the_command,
    "demucs": _reference,
}

if __name__ == "__main__":
    print(json.dumps(start(**json.loads(sys.argv[1]))))
