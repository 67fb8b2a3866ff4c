"""From a source (a file, for now) to a model."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from demucs_tf.checkpoints.package import Package, read_package
from demucs_tf.errors import CheckpointError, ModelNotFoundError

if TYPE_CHECKING:
    from demucs_tf.models.demucs import DemucsTF

_READ = ".th (the reference's packages) and .keras"
# A model may need this many times the numbers that the checkpoint has, before it is made at all.
# A mere mismatch is reported by weight; arguments that would fill the memory are stopped here.
_MAX_GROWTH = 4
_ALWAYS_FINE = 2**22


def load_model(
    source: str | PathLike[str], repo: str | PathLike[str] | None = None, dtype: str = "float32"
) -> DemucsTF:
    """Load a model from a file.

    Args:
        source: path of a `.th` package of the reference, or of a `.keras` file that
            `DemucsTF.save` wrote.
        repo: folder of the published models. Names are not looked up in this version.
        dtype: "float32" or "float64" (the strict mode), whatever the file holds.

    Returns:
        the model, with the file's configuration and weights.

    Raises:
        ModelNotFoundError: there is no such file, or `source` is a name.
        CheckpointError: the file is damaged, unsafe, or does not fit the class that it names.
        ValueError: `dtype` is something else.

    Reference: demucs/states.py::load_model
    """
    if dtype not in ("float32", "float64"):
        raise ValueError(f'dtype must be "float32" or "float64", got {dtype!r}.')
    name = fspath(source)
    path = Path(name)
    if path.suffix not in _READERS:
        raise _not_read(name, path)
    if not path.exists():
        raise ModelNotFoundError(f"{path}: no such file. Check the path of the checkpoint.")
    return _READERS[path.suffix](path, dtype)


def _not_read(name: str, path: Path) -> Exception:
    if path.exists():
        return CheckpointError(f"{path}: wanted a file of the kinds {_READ}.")
    return ModelNotFoundError(
        f"{name!r}: no such file, and published names, signatures and hf:// addresses are not "
        f"supported yet. This version reads files: {_READ}."
    )


def _load_package(path: Path, dtype: str) -> DemucsTF:
    from demucs_tf.models.demucs import DemucsTF

    package = read_package(path)
    ports = {"demucs.demucs.Demucs": DemucsTF}
    if package.klass not in ports:
        raise CheckpointError(
            f"{path}: not supported yet: a checkpoint of the class {package.klass}. "
            f"This version has {', '.join(ports)}."
        )
    try:
        return _port(ports[package.klass], package, dtype)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _port(cls: type[DemucsTF], package: Package, dtype: str) -> DemucsTF:
    from demucs_tf.checkpoints.weights import load_state
    from demucs_tf.layers.base import blank_weights

    arguments = _constructor_arguments(cls, package)
    try:
        _check_size(arguments, package.state)
        with blank_weights():
            model = cls(**arguments, dtype=dtype)
    except CheckpointError:
        raise
    except Exception as error:  # arguments from a file may fail in any way
        raise CheckpointError(
            f"{cls.__name__} can't be made from its constructor arguments {arguments} ({error})."
        ) from error
    load_state(model, package.state)
    return model


def _constructor_arguments(cls: type[DemucsTF], package: Package) -> dict[str, Any]:
    """The checkpoint's arguments by name; unknown ones are dropped with a warning.

    Reference: demucs/states.py::load_model
    """
    signature = inspect.signature(cls)
    known = [
        name
        for name, parameter in signature.parameters.items()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    unknown = [name for name in package.kwargs if name not in known]
    if unknown:
        warnings.warn(
            f"Dropping constructor arguments that {cls.__name__} does not have: "
            f"{', '.join(unknown)}",
            UserWarning,
            stacklevel=5,  # the caller of load_model
        )
    kwargs = {name: value for name, value in package.kwargs.items() if name in known}
    try:
        return dict(signature.bind(*package.args, **kwargs).arguments)
    except TypeError as error:
        raise CheckpointError(f"its constructor arguments do not fit: {error}.") from error


def _check_size(arguments: Mapping[str, Any], state: Mapping[str, np.ndarray]) -> None:
    """Refuse arguments of a model far larger than the weights, before it takes up the memory.

    The measure is a lower bound: the strided convolutions, which every configuration has.
    """
    total = sum(array.size for array in state.values())
    limit = _MAX_GROWTH * total + _ALWAYS_FINE
    layers = [abs(arguments.get(name, 0)) for name in ("depth", "dconv_depth", "lstm_layers")]
    needed = max(layers) * 1000
    width, below = arguments.get("channels", 64), arguments.get("audio_channels", 2)
    sides = arguments.get("kernel_size", 8) + 2 * arguments.get("context", 1) + 1
    needed += len(arguments["sources"]) * below * width * sides
    for _ in range(arguments.get("depth", 6)):
        if needed > limit:
            break
        needed += width * below * sides
        width, below = math.ceil(width * arguments.get("growth", 2.0)), width
    if needed > limit:
        raise CheckpointError(
            "its constructor arguments describe a model of more than "
            f"{limit} weights, and it holds {total}."
        )


def _load_keras(path: Path, dtype: str) -> DemucsTF:
    import keras

    from demucs_tf.checkpoints.keras_file import check_config
    from demucs_tf.models.demucs import DemucsTF

    check_config(path, DemucsTF)
    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # damage may show in any layer of Keras, HDF5 or zip
        raise CheckpointError(
            f"{path}: Keras can't read the model, the file is damaged or does not fit "
            f"({type(error).__name__}: {str(error)[:300]})."
        ) from error
    bad = [v.path for v in model.variables if not np.isfinite(np.asarray(v)).all()]
    if bad:
        raise CheckpointError(f"{path}: weights with NaN or Inf: {', '.join(bad)}.")
    return model if model.compute_dtype == dtype else _converted(model, dtype)


def _converted(model: DemucsTF, dtype: str) -> DemucsTF:
    """The same model in another dtype."""
    from demucs_tf.checkpoints.weights import load_state, read_state

    port = type(model)(**{**model.get_config(), "dtype": dtype})
    load_state(port, read_state(model))
    return port


_READERS: dict[str, Callable[[Path, str], DemucsTF]] = {
    ".th": _load_package,
    ".keras": _load_keras,
}
