"""Keep libraries from printing past Python, and from drawing from the caller's generators."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from threading import get_ident
from typing import Any

from demucs_tf.utils.context import during
from demucs_tf.utils.memory import without_collector


@contextmanager
def quiet(*, unless: bool = False) -> Iterator[None]:
    """Keep native libraries from printing notes on stderr past Python.

    TensorFlow does when it is imported, whatever TF_CPP_MIN_LOG_LEVEL says, and libmpg123, with
    which libsndfile reads MP3, when a file is odd. What matters of it is an exception as well.
    """
    if unless or sys.stderr is None:
        yield
        return
    sys.stderr.flush()
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Leave Python's and NumPy's global random generators as they were.

    Libraries draw from them when they are imported (rich, through Keras), and who has seeded them
    counts on what comes next.
    """
    import random

    numpy = sys.modules.get("numpy")  # if it is not there yet, nobody has seeded it
    state, numpy_state = random.getstate(), numpy and numpy.random.get_state()
    try:
        yield
    finally:
        random.setstate(state)
        if numpy is not None:
            numpy.random.set_state(numpy_state)


_silent: ContextVar[bool] = ContextVar("demucs_tf_silent", default=False)


def silent_imports(*, unless: bool = False) -> AbstractContextManager[None]:
    """Let TensorFlow leave nothing on stderr if it is imported inside the block: for commands."""
    return during(_silent, not unless)


def import_tensorflow(*, keras: bool = True) -> Any:
    """TensorFlow, imported without a trace in the random generators; see `silent_imports`.

    Without `keras`, a part of the time is left for when Keras is needed, if ever.
    """
    if not is_whole() or (keras and "keras" not in sys.modules):
        with importing(), _without(_for_later(keras)):
            if keras:
                import keras as _keras  # noqa: F401  and with it TensorFlow
            import tensorflow

            tensorflow.__version__  # noqa: B018  what `import_runtime` has begun, runs now
    import tensorflow

    return tensorflow


def is_whole() -> bool:
    """Whether TensorFlow is there, and not only what `demucs_tf.utils.runtime` needs of it."""
    there = sys.modules.get("tensorflow")
    return there is not None and "__version__" in vars(there)


@contextmanager
def importing() -> Iterator[None]:
    """Import large libraries inside the block, see `import_tensorflow`."""
    with undisturbed(), quiet(unless=not _silent.get()), without_collector():
        yield


def _for_later(keras: bool) -> tuple[str, ...]:
    """How the names begin of what is not to be imported now, though something asks for it."""
    if not keras:
        return ("keras.",)  # TensorFlow asks, last of all
    # Keras, for tables and pictures of who trains with it: half a second that no command has use
    # for. In other programs it has what it finds.
    return ("matplotlib", "pandas") if _silent.get() else ()


@contextmanager
def _without(modules: tuple[str, ...]) -> Iterator[None]:
    """Let modules be missing, as where they are not installed. Other threads are not concerned."""
    thread = get_ident()

    class Refusing:
        def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
            if name.startswith(modules) and get_ident() == thread:
                raise ModuleNotFoundError(f"{name} is imported later", name=name)

    finder = Refusing()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def mute_stdout() -> None:
    """Let nothing more be written to a pipe that nobody reads from."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
