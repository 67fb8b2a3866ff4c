"""A reader of pickles that can only make data.

`pickle.Unpickler` with a guarded `find_class` still runs whatever the allowed names can be made to
do (BUILD sets attributes, NEWOBJ makes objects, a memo index of 2**32 allocates 32 GiB, a nested
tuple as a key takes 2**depth steps to hash). So the opcodes are interpreted here instead, on top
of the standard library's tokenizer: about thirty of them, each a line or two, and REDUCE calls
only functions of ours that are in the caller's table. Nothing is ever imported.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from demucs_tf.errors import CheckpointError
from demucs_tf.utils.text import shown

# A package of the largest published model is 100 kB of pickle and 20,000 opcodes.
MAX_BYTES = 8 * 2**20
MAX_OPCODES = 500_000
# Below it no two whole numbers have the same hash, so that no dictionary gets slow.
_MAX_KEY = 2**60


class Name(str):
    """Stands for an importable thing that is only ever named: a class, a dtype, a storage type.

    As a text it is "module.name", which no reader takes for a text of the file's.
    """

    module: str
    name: str

    def __new__(cls, module: str, name: str) -> Name:
        """The thing `name` of `module`."""
        self = super().__new__(cls, f"{module}.{name}")
        self.module, self.name = module, name
        return self

    def __reduce__(self) -> tuple[type[Name], tuple[str, str]]:
        return Name, (self.module, self.name)


@dataclass(frozen=True)
class Function:
    """One of our own functions, standing for an importable one; REDUCE may call it."""

    call: Callable[..., object]


class Stateful:
    """Base of the stand-ins whose state a pickle may set (opcode BUILD)."""

    __slots__ = ()

    def set_state(self, state: object) -> None:
        """Take, check or ignore a state."""
        raise NotImplementedError


class OrderedData(dict[Any, Any], Stateful):
    """Stands for collections.OrderedDict."""

    __slots__ = ()

    def set_state(self, state: object) -> None:
        """Drop the attributes that PyTorch hangs on a state_dict (`_metadata`)."""


def read_pickle(
    data: bytes,
    names: Mapping[str, object],
    persistent: Callable[[object], object],
    wanted: str,
) -> object:
    """Return the data that a pickle describes.

    Args:
        data: the whole pickle.
        names: what each allowed global ("module name", exactly) is replaced by.
        persistent: makes the object for a persistent id.
        wanted: what may be asked for, in words, for the error about anything else.

    Raises:
        CheckpointError: the pickle asks for anything else, or is too large.
        Exception: whatever a malformed pickle leads to; the caller turns it into one error.
    """
    if len(data) > MAX_BYTES:
        raise CheckpointError(f"its pickle has {len(data)} bytes, more than {MAX_BYTES}")
    return _Machine(names, persistent, wanted).run(data)


class _Machine:
    """The stack machine of the pickle format, restricted to data."""

    def __init__(
        self, names: Mapping[str, object], persistent: Callable[[object], object], wanted: str
    ) -> None:
        self.names = names
        self.persistent = persistent
        self.wanted = wanted
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def run(self, data: bytes) -> object:
        for count, (opcode, argument, position) in enumerate(pickletools.genops(data)):
            if count >= MAX_OPCODES:
                raise CheckpointError(f"its pickle has more than {MAX_OPCODES} opcodes")
            if opcode.name == "STOP":
                return self.finish(len(data) - (position or 0) - 1)
            self.step(opcode.name, argument)
        raise CheckpointError("its pickle does not end")

    def finish(self, left: int) -> object:
        if left or self.marks or len(self.stack) != 1:
            raise CheckpointError("its pickle leaves something over at its end")
        return self.stack[0]

    def step(self, opcode: str, argument: Any) -> None:
        if opcode in _LITERALS:
            self.stack.append(argument)
        elif opcode in _CONSTANTS:
            self.stack.append(_CONSTANTS[opcode]())
        elif opcode in _ACTIONS:
            _ACTIONS[opcode](self, argument)
        elif opcode not in _IGNORED:
            raise CheckpointError(
                f"its pickle uses the opcode {opcode}, which plain weights never need: refused"
            )

    def mark(self, _: object) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def pop_mark(self) -> list[Any]:
        items = self.stack
        self.stack = self.marks.pop()
        return items

    def put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def memoize(self, _: object) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def get(self, index: int) -> None:
        self.stack.append(self.memo[index])

    def tuple_of(self, count: int) -> None:
        if count > len(self.stack):
            raise CheckpointError("its pickle takes more from the stack than there is")
        self.stack[-count:] = [tuple(self.stack[-count:])]

    def tuple_from_mark(self, _: object) -> None:
        items = self.pop_mark()
        self.stack.append(tuple(items))

    def append(self, _: object) -> None:
        self.extend([self.stack.pop()])

    def appends(self, _: object) -> None:
        self.extend(self.pop_mark())

    def extend(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise CheckpointError("its pickle appends to something that is no list")
        self.stack[-1].extend(items)

    def set_item(self, _: object) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.update([key, value])

    def set_items(self, _: object) -> None:
        self.update(self.pop_mark())

    def update(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) not in (dict, OrderedData):
            raise CheckpointError("its pickle sets items of something that is no dictionary")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if isinstance(key, Name) or not isinstance(key, str | int | float | None):
                raise CheckpointError(f"a dictionary in its pickle has a {type(key).__name__} key")
            if isinstance(key, int) and abs(key) > _MAX_KEY:
                raise CheckpointError(f"a dictionary in its pickle has the key {shown(key)}")
            if key in target:
                raise CheckpointError(f"a dictionary in its pickle has {shown(key)} twice")
            target[key] = value

    def look_up(self, argument: str) -> None:
        if argument not in self.names:
            name = shown(argument.replace(" ", "."))
            raise CheckpointError(
                f"its pickle asks for {name}: refused, and nothing was run. Wanted {self.wanted}. "
                "Do not load this file with other tools unless you trust who made it"
            )
        self.stack.append(self.names[argument])

    def look_up_from_stack(self, _: object) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if type(name) is not str or type(module) is not str:
            raise CheckpointError("its pickle names a global by something that is no text")
        self.look_up(f"{module} {name}")

    def reduce(self, _: object) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, Function) or type(arguments) is not tuple:
            what = shown(function) if isinstance(function, Name) else type(function).__name__
            raise CheckpointError(f"its pickle calls {what}, which only stands for a name: refused")
        self.stack.append(function.call(*arguments))

    def build(self, _: object) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if not isinstance(target, Stateful):
            found = type(target).__name__
            raise CheckpointError(f"its pickle sets the state of a {found}: refused")
        target.set_state(state)

    def persistent_id(self, _: object) -> None:
        self.stack.append(self.persistent(self.stack.pop()))


_LITERALS = {
    "BININT",
    "BININT1",
    "BININT2",
    "LONG1",
    "BINFLOAT",
    "BINUNICODE",
    "SHORT_BINUNICODE",
    "BINUNICODE8",
    "SHORT_BINSTRING",
    "BINBYTES",
    "SHORT_BINBYTES",
}
_IGNORED = {"PROTO", "FRAME"}
_CONSTANTS: dict[str, Callable[[], object]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
}
_ACTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine.mark,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": _Machine.memoize,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "TUPLE": _Machine.tuple_from_mark,
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "APPEND": _Machine.append,
    "APPENDS": _Machine.appends,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "GLOBAL": _Machine.look_up,
    "STACK_GLOBAL": _Machine.look_up_from_stack,
    "REDUCE": _Machine.reduce,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.persistent_id,
}
