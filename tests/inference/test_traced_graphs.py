"""What the graphs that tracks are separated with have in them, and what they do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from demucs_tf.blocks.dconv import DConv
from demucs_tf.inference.graphs import trace
from demucs_tf.inference.graphs.trace import graph_of
from demucs_tf.models.demucs import DemucsTF
from demucs_tf.models.hdemucs import HDemucsTF
from demucs_tf.models.htdemucs import HTDemucsTF
from tests.support.tiny_models import TRANSFORMER

SOURCES = ["drums", "vocals"]
SMALL: dict[str, Any] = {"channels": 8, "depth": 2, "dconv_lstm": 1, "dconv_attn": 1}
MODELS: dict[str, Callable[[], Any]] = {
    "Demucs": lambda: DemucsTF(SOURCES, **SMALL, norm_starts=1, lstm_layers=1),
    "HDemucs": lambda: HDemucsTF(SOURCES, **SMALL, nfft=64, norm_starts=1),
    "HTDemucs": lambda: HTDemucsTF(SOURCES, **TRANSFORMER),
}
# Operations that copy what they are given.
COPIES = {"Transpose", "Split", "SplitV", "Unpack", "StridedSlice", "ConcatV2", "ReverseV2", "Pad"}


@pytest.mark.parametrize("kind", ["Const", "Shape", "StridedSlice", "Pack", "FloorDiv"])
def test_what_is_worked_out_already_is_not_worked_out_again(kind: str) -> None:
    graph = graph_of(MODELS["Demucs"](), None).as_graph_def(add_shapes=False)
    nodes = [node for node in graph.node if node.op == kind]
    for node in nodes:
        node.ClearField("name")
    assert len(nodes) == len({node.SerializeToString(deterministic=True) for node in nodes}) > 20


def test_a_graph_for_a_length_knows_that_of_every_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is worked out from unknown ones is a third more operations, each in every pass."""
    shapes: list[Any] = []
    call = DConv.call

    def watched(self: DConv, x: Any) -> Any:
        shapes.append(x.shape)
        return call(self, x)

    monkeypatch.setattr(DConv, "call", watched)
    model = MODELS["HTDemucs"]()
    graph_of(model, model.training_length)
    assert len(shapes) == 4  # of two encoder layers in frequency, and two in time
    assert all(None not in shape[1:] for shape in shapes), shapes


@pytest.mark.parametrize("name", MODELS)
def test_no_weight_is_copied_before_its_layers_turn(name: str) -> None:
    """The copy would lie in memory from the first operation on until the layer is reached."""
    waiting, weights, early = {trace.MIX}, set[str](), []
    for op in graph_of(MODELS[name](), None).get_operations():
        sources = {tensor.op.name for tensor in op.inputs} | {op.name for op in op.control_inputs}
        if sources & waiting:
            waiting.add(op.name)
        elif op.name.startswith(trace.WEIGHT) or sources & weights:
            weights.add(op.name)
            if op.type in COPIES and any((out.shape.rank or 0) > 1 for out in op.outputs):
                early.append(f"{op.type} {op.name}: {op.outputs[0].shape}")
    assert len(waiting) > 500
    assert early == []
