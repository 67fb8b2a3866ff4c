"""What the harness is told of EnCodec and its port: one `Subject`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from parity.core.subject import Subject, Tap

MAP = "BCT>BTC"
STEPS = ("pad", "skip", "trim")
PADDING = "hidden_states = self._pad1d(hidden_states, "
TAPS = (
    Tap(
        "EncodecConv1d",
        "pad",
        (MAP,),
        MAP,
        (
            PADDING + "(self.padding_total, extra_padding), mode=self.pad_mode)",
            PADDING + "(padding_left, padding_right + extra_padding), mode=self.pad_mode)",
        ),
        moves=True,
    ),
    Tap(
        "EncodecConvTranspose1d",
        "trim",
        (MAP,),
        MAP,
        ("hidden_states = hidden_states[..., padding_left:end]",),
        moves=True,
    ),
    Tap(
        "EncodecLSTM",
        "skip",
        ("TBC>BTC",) * 2,
        "TBC>BTC",
        ("hidden_states = self.lstm(hidden_states)[0] + hidden_states",),
    ),
    Tap(
        "EncodecResnetBlock",
        "skip",
        (MAP, MAP),
        MAP,
        ("return self.shortcut(residual) + hidden_states",),
    ),
)
LENGTHS = (
    "n_frames = (length - self.kernel_size + self.padding_total) / self.stride + 1",
    "n_frames = torch.ceil(n_frames).to(torch.int64) - 1",
    "ideal_length = n_frames * self.stride + self.kernel_size - self.padding_total",
    "return ideal_length - length",
    "padding_right = self.padding_total // 2",
    "padding_left = self.padding_total - padding_right",
)
TURNS = (
    "hidden_states = hidden_states.permute(2, 0, 1)",
    "hidden_states = hidden_states.permute(1, 2, 0)",
)
# The port's variables under the names of the `state_dict`, where these are others.
KEYS = {
    "gain": "parametrizations.weight.original0",
    "direction": "parametrizations.weight.original1",
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
}


def layers(layer: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every layer below `layer` with its path, which is that of its attribute."""
    for name, value in vars(layer).items():
        if name in STEPS:
            yield f"{path}:{name}", value
        elif isinstance(value, keras.layers.Layer):
            yield from _with_inner(value, f"{path}.{name}".lstrip("."))
        elif isinstance(value, list) and not name.startswith("_"):
            for index, child in enumerate(value):
                if isinstance(child, keras.layers.Layer):
                    yield from _with_inner(child, f"{path}.{name}.{index}")


def _with_inner(layer: Any, path: str) -> Iterator[tuple[str, Any]]:
    yield path, layer
    yield from layers(layer, path)


def variables(port: Any) -> dict[str, Any]:
    """The port's variables by key; each is the transpose of the reference's."""
    return {
        f"{path}.{KEYS.get(variable.name, variable.name)}": variable
        for path, layer in layers(port)
        if not [*layers(layer)]
        for variable in layer.variables
    }


def read_state(port: Any) -> dict[str, npt.NDArray[Any]]:
    """The weights under the keys and in the layout of the `state_dict`."""
    return {key: np.asarray(variable).T for key, variable in variables(port).items()}


SUBJECT = Subject(
    reference=("transformers.models.encodec",),
    imported_as="examples.parity_encodec.subject:SUBJECT",
    distributions=("transformers",),
    layers=lambda port: dict(layers(port)),
    read_state=read_state,
    taps=TAPS,
    no_steps={
        **dict.fromkeys(LENGTHS, "how much to pad, which the port counts in Python"),
        **dict.fromkeys(TURNS, "the port has time before channels throughout"),
    },
    modules=(
        ("LSTM", ".*", (("TBC>BTC",), ("TBC>BTC", "LBD", "LBD"))),
        (".*", ".*", ((MAP,), (MAP,))),
    ),
)
