"""What both sides of Demucs say that they were made of."""

from __future__ import annotations

from typing import Any

from demucs_tf.models.config import CONFIGS
from parity.cases.case import Case
from parity.core.configuration import Arguments, of_call
from parity.demucs.defaults import DEFAULTS

# Attributes that are changed on finished models: a bag sets its members' `segment`.
REASSIGNED = ("segment", "samplerate")


def of_reference(module: Any) -> Arguments | None:
    """The arguments that a module of the reference keeps of its constructor's call, if it does.

    Reference: demucs/states.py::capture_init
    """
    given = getattr(module, "_init_args_kwargs", None)
    classes = [cls for cls in type(module).__mro__ if cls.__module__.startswith("demucs.")]
    if given is None or not classes:
        return None
    found = of_call(classes[0], *given)
    now = {name: getattr(module, name) for name in REASSIGNED if name in found.values}
    return Arguments({**found.values, **now}, found.defaults)


def of_case(case: Case) -> Arguments:
    """The arguments of the reference's module of a case, without the reference."""
    defaults = DEFAULTS[case.reference]
    values = {name: defaults[name] for name in CONFIGS[case.reference].names() if name in defaults}
    return Arguments({**values, **case.config}, defaults)


def of_port(port: Any) -> Arguments | None:
    """The arguments of a port that are the reference's as well."""
    config = getattr(port, "config", None)
    if config is None:
        return None
    names, defaults = config.names(), config.defaults()
    return Arguments(
        {name: getattr(config, name) for name in names},
        {name: defaults[name] for name in names if name in defaults},
    )
