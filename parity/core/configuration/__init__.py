"""What reference and port say that they were made of: compared before any number."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

MISSING, NONE = "(missing)", ""  # a side that has no such argument; no default


@dataclass(frozen=True)
class Arguments:
    """The constructor's arguments of one side, and their defaults.

    Without defaults, the values are those that were given, and not all that there are.
    """

    values: Mapping[str, Any]
    defaults: Mapping[str, Any]


@dataclass(frozen=True)
class Argument:
    """One argument on both sides, as text; a side that lacks it says so.

    Defaults are "" where they are not known, or where there is none.
    """

    name: str
    reference: str
    port: str
    reference_default: str = ""
    port_default: str = ""
    differs: bool = False

    @property
    def reason(self) -> str:
        """What differs, as a sentence; "" if nothing does."""
        if not self.differs:
            return ""
        if self.reference != self.port:
            return f"argument {self.name}: reference {self.reference}, port {self.port}"
        return (
            f"default of {self.name}: reference {self.reference_default or 'none'}, "
            f"port {self.port_default or 'none'}"
        )

    @property
    def notable(self) -> bool:
        """Whether it differs, or was given another value than the default."""
        return self.differs or self.reference != (self.reference_default or self.port_default)


def of_call(constructor: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Arguments:
    """The arguments of a call of a class, those that were left out included."""
    signature = inspect.signature(constructor)
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    return Arguments(
        bound.arguments,
        {
            name: parameter.default
            for name, parameter in signature.parameters.items()
            if parameter.default is not inspect.Parameter.empty
        },
    )


def compared(reference: Arguments, port: Arguments) -> tuple[Argument, ...]:
    """Each argument of either side, in the reference's order.

    It differs if its values do, or its defaults, where both sides know theirs.
    """
    names = [*reference.values, *(port.values if reference.defaults else ())]
    return tuple(_compared(name, reference, port) for name in dict.fromkeys(names))


def _compared(name: str, reference: Arguments, port: Arguments) -> Argument:
    value, ours = (side.values.get(name, MISSING) for side in (reference, port))
    default, our_default = (side.defaults.get(name, NONE) for side in (reference, port))
    differs = bool(_plain(value) != _plain(ours))
    if reference.defaults and port.defaults:
        differs |= bool(_plain(default) != _plain(our_default))
    return Argument(name, _text(value), _text(ours), _text(default), _text(our_default), differs)


def _plain(value: Any) -> Any:
    """A value such that equal ones compare equal: lists and tuples do, and fractions and floats."""
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return float(value) if isinstance(value, Fraction) else value


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_text, value)) + "]"
    return str(value)
