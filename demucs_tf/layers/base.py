"""The base class of every layer, and finding layers and variables by the reference's names."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from demucs_tf.utils.context import during

try:
    from tensorflow.python.eager.record import could_possibly_record as _may_be_recorded
except ImportError:  # it is not public: without it, calls outside of graphs take a little longer

    def _may_be_recorded() -> bool:
        return True


# Shape and dtype -> what a variable starts with.
Initializer = Callable[..., Any]

# Tensors by their axes; `demucs_tf.layers` has the letters. Any to a type checker, not to a reader.
BTC = Any
BFTC = Any
BTD = Any

_blank: ContextVar[bool] = ContextVar("demucs_tf_blank_weights", default=False)


def blank_weights() -> AbstractContextManager[None]:
    """Build models with zeros in place of initial weights: for those who load weights anyway."""
    return during(_blank, True)


def weights_are_blank() -> bool:
    """Tell whether the code runs inside `blank_weights`."""
    return _blank.get()


_portable: ContextVar[bool] = ContextVar("demucs_tf_portable", default=False)
_arrays: ContextVar[bool] = ContextVar("demucs_tf_arrays", default=True)


@contextmanager
def portable(arrays: bool = True) -> Iterator[None]:
    """Trace graphs inside the block for runtimes that have less than TensorFlow.

    LiteRT and ONNX have no complex numbers, and LiteRT's delegates for GPUs no tensors of more than
    four axes. Layers keep to that wherever it costs nothing; where it would, they ask.

    Args:
        arrays: whether a loop may write into a `tf.TensorArray` whose rows have an unknown shape.
    """
    with during(_portable, True), during(_arrays, arrays):
        yield


def is_portable() -> bool:
    """Tell whether the code runs inside `portable`."""
    return _portable.get()


def has_arrays() -> bool:
    """Tell whether a loop may write rows of an unknown shape: see `portable`."""
    return _arrays.get()


@dataclass
class Budget:
    """How much a model may have: variables, and numbers in all of them."""

    variables: int
    numbers: int

    def charge(self, shape: tuple[int, ...]) -> None:
        """Pay for a variable; OverBudget where that is too much."""
        self.variables -= 1
        self.numbers -= math.prod(shape)
        if self.variables < 0 or self.numbers < 0:
            raise OverBudget


class OverBudget(Exception):
    """A model would have more variables, or more numbers in them, than its budget allows."""


_budget: ContextVar[Budget | None] = ContextVar("demucs_tf_budget", default=None)


def limited(budget: Budget) -> AbstractContextManager[None]:
    """Make models of no more than `budget` in all; what is too much is refused before it is made.

    Raises:
        OverBudget: there was more.
    """
    return during(_budget, budget)


# Every layer call and each functional step of a forward pass can be seen from outside. Without an
# observer that adds one context lookup to a call and changes nothing else.


class Caller(Protocol):
    """What calls layers in their place."""

    def call(self, layer: Any, function: Callable[..., Any], inputs: tuple[Any, ...]) -> Any:
        """Run a layer's `function(*inputs)` and return what the pass goes on with."""


class Observer(Caller, Protocol):
    """What sees a forward pass: the harness has one."""

    def step(
        self, layer: Any, name: str, function: Callable[..., Any], inputs: tuple[Any, ...]
    ) -> Any:
        """Run a functional step of that name inside `layer`, and return as `call` does."""


_observer: ContextVar[Observer | None] = ContextVar("demucs_tf_observer", default=None)


def observe(observer: Observer | None) -> AbstractContextManager[None]:
    """Send every layer call and step inside the block to `observer` (None: to nobody)."""
    return during(_observer, observer)


_joined: ContextVar[bool] = ContextVar("demucs_tf_joined", default=False)


def joined() -> AbstractContextManager[None]:
    """Work out layers in one with their neighbours inside the block, where that is faster.

    The graphs that tracks are separated with do, ONNX files, and some LiteRT files. What comes
    out differs by rounding; a model that is called, watched, trained or becomes a SavedModel goes
    layer by layer.
    """
    return during(_joined, True)


def is_joined() -> bool:
    """Tell whether the code runs inside `joined`, and nobody watches."""
    return _joined.get() and _observer.get() is None


def is_joined_here() -> bool:
    """Tell whether layers are joined in a graph that TensorFlow runs: in no file for others."""
    return is_joined() and not is_portable()


_repeating: ContextVar[Caller | None] = ContextVar("demucs_tf_repeating", default=None)


def repeating(caller: Caller) -> AbstractContextManager[None]:
    """Let `caller` call the layers that are `repeated` inside the block, if nobody watches."""
    return during(_repeating, caller)


class Observable:
    """Mixin in front of a Keras class: its calls and named steps can be observed."""

    # Whether models have several of a kind, which take long to trace: see `repeating`.
    repeated = False

    def __call__(self, *inputs: Any, **kwargs: Any) -> Any:
        """Call the layer as Keras does, seen by the observer if there is one."""
        run = super().__call__  # type: ignore[misc]
        observer = _observer.get()
        caller = _repeating.get() if observer is None and self.repeated else observer
        if caller is None:
            return run(*inputs, **kwargs)
        return caller.call(self, lambda *tensors: run(*tensors, **kwargs), inputs)

    def step(self, name: str, function: Callable[..., Any], *inputs: Any) -> Any:
        """Run `function(*inputs)`, a step that the reference does without a module.

        `name` is the tap's in `parity/demucs/taps_*.py`; `inputs` are the tensors that the step
        depends on, in the order in which the reference first uses them.
        """
        observer = _observer.get()
        if observer is None:
            return function(*inputs)
        return observer.step(self, name, function, inputs)


class Layer(Observable, keras.layers.Layer):
    """A Keras layer whose variables bear the reference's names and exist from construction.

    Inputs and outputs are channels-last unless a layer says otherwise. `dtype` is "float32"
    or "float64" and holds for variables and arithmetic alike.
    """

    # Variables that inputs are multiplied by, which products in bfloat16 take in bfloat16.
    factors: tuple[str, ...] = ()

    def variable(self, name: str, shape: tuple[int, ...], init: float | Initializer) -> Any:
        """Add a trainable variable, filled with a number or by a function: all come through here.

        Raises:
            ValueError: it would have no numbers.
            OverBudget: see `limited`.
        """
        if 0 in shape:
            raise ValueError(
                f"{type(self).__name__} would have no channels: make channels or growth larger."
            )
        budget = _budget.get()
        if budget is not None:
            budget.charge(shape)
        if weights_are_blank():
            init = np.zeros  # Keras would multiply a constant with ones
        initializer = keras.initializers.Constant(init) if isinstance(init, (int, float)) else init
        with tf.variable_creator_scope(_by_its_own_name):
            return self.add_weight(name=name, shape=shape, initializer=initializer, trainable=True)

    def build(self, *_: Any) -> None:
        """Do nothing: shapes follow from the constructor's arguments."""
        self.built = True


def _by_its_own_name(make: Callable[..., tf.Variable], **given: Any) -> tf.Variable:
    """Make a variable whose name in TensorFlow is not that of its layer, as its Keras path is.

    TensorFlow makes a kernel for each name and shape, in a millisecond, and keeps it for good.
    """
    with tf.name_scope(""):
        return make(**given)


# Weights are drawn by TensorFlow, from the system's randomness or, once `tf.random.set_seed` or
# `keras.utils.set_random_seed` was called, from that seed. Keras's own initializers would draw
# their seeds from Python's `random`, which is the user's.


def uniform(fan_in: int) -> Initializer:
    """U(-1/sqrt(fan_in), 1/sqrt(fan_in)): what torch draws for convolutions, Linear and LSTM."""
    return uniform_within(1 / math.sqrt(max(fan_in, 1)))


def uniform_within(bound: float) -> Initializer:
    """U(-bound, bound)."""
    return lambda shape, dtype: tf.random.uniform(shape, -bound, bound, dtype)


def normal(shape: tuple[int, ...], dtype: Any) -> Any:
    """N(0, 1): what torch draws for embeddings."""
    return tf.random.normal(shape, dtype=dtype)


def with_gradient(function: Callable[..., Any], gradient: Callable[..., Any], *inputs: Any) -> Any:
    """Return the tensor `function(*inputs)`, whose gradient is ours.

    Args:
        function: of tensors.
        gradient: (slope of what `function` gives, *inputs) -> a slope for each input.
        inputs: tensors or variables.
    """
    tensors = [tf.convert_to_tensor(each) for each in inputs]
    if tf.executing_eagerly() and not _may_be_recorded():
        return function(*tensors)  # in a quarter of the time

    @tf.custom_gradient
    def call(*tensors: Any) -> Any:
        return function(*tensors), lambda slope: gradient(slope, *tensors)

    return call(*tensors)


def once_there(x: Any, weight: Any) -> Any:
    """Return a weight of which a graph makes nothing until `x` is there.

    All that weights alone decide, TensorFlow would do first of all: where a layer cuts its weight
    or turns it round, the copy would lie in memory from the start on until that layer's turn.
    """
    weight = tf.convert_to_tensor(weight)
    if not is_joined_here():
        return weight
    with tf.control_dependencies([x]):
        return tf.identity(weight)


def is_plain(layer: Any, *kinds: type) -> bool:
    """Whether a layer does what one of `kinds` does: no subclass, and nobody replaced its call."""
    return type(layer) in kinds and "call" not in vars(layer)


class Identity(Layer):
    """Return the input: where the reference has a normalisation switched off.

    Reference: torch.nn.Identity
    """

    def call(self, x: Any) -> Any:
        return x


class Dropout(Layer):
    """Zero some of the numbers in training and scale up the others; otherwise do nothing.

    Args:
        rate: the share that becomes zero.

    Reference: torch.nn.Dropout
    """

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate

    def call(self, x: Any, training: bool = False) -> Any:
        return keras.random.dropout(x, self.rate) if training and self.rate else x


class Sequential(Layer):
    """Run layers one after another; their paths are their positions, as in torch.

    Reference: torch.nn.Sequential
    """

    def __init__(self, layers: list[Layer], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layers = list(layers)

    def call(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x


def named_layers(root: Any) -> Iterator[tuple[str, Any]]:
    """Yield (path, layer) for `root` and all below, under the paths that torch gives them.

    A layer in several places comes once, under its first path, as in torch's `named_modules`.
    """
    seen: set[int] = set()

    def walk(layer: Any, path: str) -> Iterator[tuple[str, Any]]:
        if id(layer) in seen:
            return
        seen.add(id(layer))
        yield path, layer
        for name, value in _public(layer):
            if isinstance(value, Observable):
                yield from walk(value, _join(path, name))
            elif isinstance(value, (list, tuple)):
                base = path if isinstance(layer, Sequential) else _join(path, name)
                for index, item in enumerate(value):
                    if isinstance(item, Observable):
                        yield from walk(item, _join(base, str(index)))

    return walk(root, "")


def named_variables(root: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield (key, layer, variable); the key is the one in the reference's `state_dict`."""
    for path, layer in named_layers(root):
        for name, value in _public(layer):
            if hasattr(value, "assign") and hasattr(value, "shape"):
                yield _join(path, name), layer, value


def _public(layer: Any) -> list[tuple[str, Any]]:
    """List the attributes that our own code set, in the order in which it set them."""
    return [(name, value) for name, value in vars(layer).items() if not name.startswith("_")]


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name
