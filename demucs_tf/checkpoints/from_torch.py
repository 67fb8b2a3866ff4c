"""From a live PyTorch module of the reference to the port."""

from __future__ import annotations

from typing import Any

from demucs_tf.checkpoints.weights import load_state
from demucs_tf.errors import CheckpointError
from demucs_tf.utils.quiet import import_tensorflow


def from_torch(module: Any, dtype: str = "float32") -> Any:
    """Build the port of a live reference model, with its configuration and its weights.

    Args:
        module: a Demucs, HDemucs or HTDemucs (or a subclass) of any floating dtype, on any device.
        dtype: "float32" or "float64", of the port.

    Returns:
        a `DemucsTF`, `HDemucsTF` or `HTDemucsTF` on its own copy of the weights.

    Raises:
        CheckpointError: `module` is of a class that has no port.
    """
    import_tensorflow()
    from demucs_tf.layers.base import blank_weights
    from demucs_tf.models.ports import PORTS

    names = [f"{cls.__module__}.{cls.__qualname__}" for cls in type(module).__mro__]
    port = next((PORTS[name] for name in names if name in PORTS), None)
    if port is None or not hasattr(module, "_init_args_kwargs"):
        raise CheckpointError(f"from_torch takes a module of {', '.join(PORTS)}, got {names[0]}.")
    args, kwargs = module._init_args_kwargs
    arguments = {**port.config_class.by_name(args, kwargs), **_reassigned(module)}
    with blank_weights():
        model = port(**arguments, dtype=dtype)
    load_state(
        model, {key: value.detach().cpu().numpy() for key, value in module.state_dict().items()}
    )
    return model


def _reassigned(module: Any) -> dict[str, Any]:
    """Attributes that the reference changes on finished models: a bag sets `segment`."""
    return {"segment": module.segment, "samplerate": module.samplerate}
