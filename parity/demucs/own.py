"""Both sides of a comparison, made from one checkpoint of a user's."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parity.core.result import ParityError

if TYPE_CHECKING:
    from demucs_tf.checkpoints.formats.torch_package import Package


def both_sides(checkpoint: Path, dtypes: Sequence[str]) -> tuple[dict[str, Any], Any]:
    """The ports by dtype, and the reference, of a `.th` or `.safetensors` file.

    The reference's own loaders would run what a hostile file asks for, and PyTorch's may find
    something else in it than ours. So the file is read once, by ours, and the reference is made
    from what that found: the class, the arguments and the weights.

    Raises:
        ParityError: the reference makes no model of it.
        DemucsTFError: the file is missing, damaged or unsafe.
    """
    from demucs_tf.checkpoints.assemble import PACKAGES, port_of

    package = PACKAGES[checkpoint.suffix](checkpoint)
    ports = {dtype: port_of(package, checkpoint, dtype) for dtype in dtypes}
    try:
        return ports, _reference_of(package)
    except (AssertionError, ArithmeticError, RuntimeError, TypeError, ValueError) as error:
        raise ParityError(
            f"{checkpoint}: demucs_tf makes a model of it, the reference does not: {error}"
        ) from error


def _reference_of(package: Package) -> Any:
    """Reference: demucs/states.py::load_model"""
    import torch

    module, _, name = package.klass.rpartition(".")  # one of four, which the reader knows
    cls = getattr(import_module(module), name)
    known = inspect.signature(cls).parameters
    kwargs = {name: value for name, value in package.kwargs.items() if name in known}
    model = cls(*package.args, **kwargs)
    weights = package.weights({key: tuple(p.shape) for key, p in model.named_parameters()})
    model.load_state_dict({key: torch.tensor(array) for key, array in weights.items()})
    return model.eval()
