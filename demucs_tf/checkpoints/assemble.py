"""From one checkpoint file, of any format, to a model."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from demucs_tf.checkpoints.formats.diffq_state import Quantized
from demucs_tf.checkpoints.formats.safetensors_file import read_safetensors
from demucs_tf.checkpoints.formats.torch_package import Package, read_package
from demucs_tf.checkpoints.formats.untrusted import check_segment, made_from
from demucs_tf.errors import CheckpointError
from demucs_tf.models.config import Config
from demucs_tf.utils.quiet import import_tensorflow
from demucs_tf.utils.runtime import import_runtime
from demucs_tf.utils.text import printable, shown

if TYPE_CHECKING:
    from demucs_tf.models.base import Model

# Package, its path, dtype (None: as the file) -> what makes the model. It runs while TensorFlow is
# imported, and what it gives afterwards.
Make = Callable[[Package, Path, str | None], Callable[[], Any]]
# The block that a model is made in, once TensorFlow is there.
Device = Callable[[], AbstractContextManager[Any]]

# A model may have this many times the numbers that the file has before it is given up: a mere
# mismatch is reported weight by weight, and only what would fill the memory is stopped.
_MAX_GROWTH = 4
_ALWAYS_FINE = 2**22
# The same for variables, which take a millisecond each whatever their size. The largest published
# model has 533.
_SPARE = 100
_MAX_VARIABLES = 5000


def read_model(
    path: Path, dtype: str | None = None, make: Make | None = None, device: Device = nullcontext
) -> Any:
    """Make the model that a checkpoint file holds.

    Args:
        path: of a file whose suffix is in `READERS`.
        dtype: "float32" or "float64", of the model, whatever the file holds; None: as the file.
        make: what makes a model of a package; None: `port_of`.
        device: the block that it is made in.

    Raises:
        ModelNotFoundError: there is no such file.
        CheckpointError: the file is damaged, unsafe, or does not fit the class that it names.
    """
    if path.suffix in PACKAGES:
        return _load_package(PACKAGES[path.suffix], path, dtype, make, device)
    import_tensorflow()
    with device():
        return READERS[path.suffix](path, dtype)


def _load_package(
    read: Callable[[Path], Package],
    path: Path,
    dtype: str | None = None,
    make: Make | None = None,
    device: Device = nullcontext,
) -> Any:
    def begun() -> Callable[[], Any]:
        package = read(path)
        if make is None:
            return partial(port_of, package, path, dtype)
        return make(package, path, dtype)

    with ThreadPoolExecutor(1) as pool:  # what takes longest runs beside it, once in a process
        rest = pool.submit(begun)
        if make is None:
            import_tensorflow()
        else:
            import_runtime()
        with device():
            return rest.result()()


def port_of(package: Package, path: Path, dtype: str | None = None) -> Model:
    """Make the model of a package that was read from `path`; raises as `read_model`."""
    import_tensorflow()
    from demucs_tf.models.ports import PORTS

    try:
        return _port(PORTS[package.klass], package, dtype or package.dtype)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _port(cls: type[Model], package: Package, dtype: str) -> Model:
    from demucs_tf.checkpoints.weights import load_state, shapes_of
    from demucs_tf.layers.base import blank_weights

    arguments = constructor_arguments(cls.config_class, package, cls.__name__)
    state = package.state
    with made_from(arguments, cls.__name__):
        config = cls.config_class(**arguments)
        check_segment(config.segment)
        if isinstance(state, Quantized):
            limit = within(state.numbers(), state.arrays(), growth=1)
        else:
            limit = within(sum(array.size for array in state.values()), len(state))
        with blank_weights(), limit:
            model = cls(**config.arguments(), dtype=dtype)
    try:
        load_state(model, package.weights(shapes_of(model)))
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(
            f"its weights can't be read ({type(error).__name__}: {printable(str(error), 300)})."
        ) from error
    return model


@contextmanager
def within(total: int, arrays: int, growth: int = _MAX_GROWTH) -> Iterator[None]:
    """Let a model be made inside the block if it is about as large as the weights of its file.

    Args:
        total: how many numbers they are.
        arrays: how many arrays.
        growth: how many times as many numbers the model may need; few more are always fine.

    Raises:
        CheckpointError: it is far larger; nothing of that size was allocated.
    """
    import_tensorflow()
    from demucs_tf.layers.base import Budget, OverBudget, limited

    budget = Budget(min(arrays + _SPARE, _MAX_VARIABLES), growth * total + _ALWAYS_FINE)
    variables, numbers = budget.variables, budget.numbers
    try:
        with limited(budget):
            yield
    except OverBudget as error:
        raise CheckpointError(
            f"they describe a model of more than {variables} weights, and the file holds {arrays}."
            if budget.variables < 0
            else f"they describe a model of more than {numbers} numbers as weights, and the file "
            f"holds {total}."
        ) from error


def constructor_arguments(
    config_class: type[Config], package: Package, about: str
) -> dict[str, Any]:
    """The checkpoint's arguments by name; unknown ones are dropped with a warning.

    Reference: demucs/states.py::load_model
    """
    known = config_class.names()
    unknown = [name for name in package.kwargs if name not in known]
    if unknown:
        warnings.warn(
            f"Dropping constructor arguments that {about} does not have: "
            f"{', '.join(map(shown, unknown[:100]))}",
            UserWarning,
            stacklevel=_caller(),
        )
    kwargs = {name: value for name, value in package.kwargs.items() if name in known}
    try:
        return config_class.by_name(package.args, kwargs)
    except TypeError as error:
        raise CheckpointError(
            f"its constructor arguments do not fit: {printable(str(error), 300)}."
        ) from error


def _caller() -> int:
    """The `stacklevel` at which a warning from where this is called points out of the package."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("demucs_tf."):
        level, frame = level + 1, frame.f_back
    return level


def _load_keras(path: Path, dtype: str | None) -> Model:
    import_tensorflow()
    import keras

    import demucs_tf.models.ports  # noqa: F401  Keras finds the classes that are registered
    from demucs_tf.checkpoints.formats.keras_file import check_file
    from demucs_tf.layers.base import blank_weights

    total, arrays = check_file(path)
    try:
        with blank_weights(), within(total, arrays):
            model: Model = keras.models.load_model(path, compile=False, safe_mode=True)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except Exception as error:  # damage may show in any layer of Keras, HDF5 or zip
        raise CheckpointError(
            f"{path}: Keras can't read the model, the file is damaged or does not fit "
            f"({type(error).__name__}: {printable(str(error), 300)})."
        ) from error
    if arrays != len(model.variables):
        raise CheckpointError(
            f"{path}: expected {len(model.variables)} arrays of weights, found {arrays}."
        )
    bad = [v.path for v in model.variables if not np.isfinite(np.asarray(v)).all()]
    if bad:
        raise CheckpointError(f"{path}: weights with NaN or Inf: {', '.join(bad)}.")
    return converted(model, dtype or model.compute_dtype)


def converted(model: Model, dtype: str) -> Model:
    """The same model in a dtype, itself if it has that already."""
    if model.compute_dtype == dtype:
        return model
    from demucs_tf.checkpoints.weights import load_state, read_state
    from demucs_tf.layers.base import blank_weights

    with blank_weights():
        port: Model = type(model).from_config({**model.get_config(), "dtype": dtype})
    load_state(port, read_state(model))
    return port


# The reference's formats, and all formats. What is made of a package widens half precision while it
# lays its weights out, so that they are written to memory once.
PACKAGES: dict[str, Callable[[Path], Package]] = {
    ".th": partial(read_package, keep_half=True),
    ".safetensors": partial(read_safetensors, keep_half=True),
}
READERS: dict[str, Callable[[Path, str | None], Model]] = {
    **{suffix: partial(_load_package, read) for suffix, read in PACKAGES.items()},
    ".keras": _load_keras,
}
