"""The core knows nothing of Demucs: it compares what was not written for it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from parity.core import subject as subject_module
from parity.core.result import ParityError
from parity.core.seeding import seed_module, seeded_state
from parity.core.subject import Subject, Tap
from parity.core.suite import Case, Suite

CORE = Path(subject_module.__file__).parent
FILES = sorted(CORE.rglob("*.py"))
FOREIGN = ("demucs", "demucs_tf", "parity.cases", "parity.demucs", "parity.faults", "parity.report")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CORE)))
def test_imports_nothing_of_a_subject(path: Path) -> None:
    """Wherever in the file an import stands."""
    imported = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported |= {f"{node.module}.{alias.name}" for alias in node.names}
    ours = {name for name in imported if name.startswith("parity.")}
    assert all(name.startswith("parity.core.") for name in ours)
    assert not [n for n in imported if f"{n}.".startswith(tuple(f"{f}." for f in FOREIGN))]


@pytest.mark.parametrize("torch", [False, pytest.param(True, marks=pytest.mark.live)])
def test_importing_it_loads_nothing_of_a_subject(torch: bool) -> None:
    """Nor, but for what runs the reference, torch; nor TensorFlow."""
    names = [
        ".".join(path.relative_to(CORE.parents[1]).with_suffix("").parts)
        for path in FILES
        if torch or path.stem not in ("reference", "operations", "influence", "statements")
    ]
    absent = ("demucs", "demucs_tf", "tensorflow", *(() if torch else ("torch",)))
    code = (
        f"import importlib, sys\nfor name in {names}: importlib.import_module(name)\n"
        f"print([name for name in {absent} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


# A module and a Keras model from anywhere. The model is a functional one, and what torch adds
# without a module is a layer in it.

CASE = Case("net", "Net", {"channels": 3, "units": 4}, ((2, 2, 11), (2, 3, 11)), seed=3)
LAYERS = ("conv", "norm", "relu", "linear")


def make_module(case: Case) -> Any:
    import torch

    class Net(torch.nn.Module):
        def __init__(self, channels: int, units: int) -> None:
            super().__init__()
            self.conv = torch.nn.Conv1d(2, channels, 3, padding=1)
            self.norm = torch.nn.BatchNorm1d(channels)
            self.relu = torch.nn.ReLU()
            self.linear = torch.nn.Linear(channels, units)

        def forward(self, x: Any, skip: Any) -> Any:
            y = self.relu(self.norm(self.conv(x)))
            y = y + skip
            y = y.transpose(1, 2)
            return self.linear(input=y)

    Net.__qualname__ = "Net"
    module = Net(**case.config).eval()
    seed_module(module, case.seed)
    return module


@contextmanager
def policy(dtype: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def make_port(case: Case, dtype: str) -> Any:
    with policy(dtype):
        model = build(**case.config)
    shapes = {key: array.shape for key, array in read_state(model).items() if array.ndim}
    for key, array in seeded_state(shapes.items(), case.seed).items():
        variables(model)[key].assign(array.T)
    return model


def build(channels: int, units: int) -> Any:
    x, skip = keras.Input((None, 2)), keras.Input((None, channels))
    y = keras.layers.Conv1D(channels, 3, padding="same", name="conv")(x)
    y = keras.layers.BatchNormalization(epsilon=1e-5, name="norm")(y)
    y = keras.layers.ReLU(name="relu")(y)
    y = keras.layers.Add(name="skip")([y, skip])
    return keras.Model([x, skip], keras.layers.Dense(units, name="linear")(y))


def variables(model: Any) -> dict[str, Any]:
    conv, norm, linear = (model.get_layer(name) for name in ("conv", "norm", "linear"))
    return {
        "conv.weight": conv.kernel, "conv.bias": conv.bias,
        "norm.weight": norm.gamma, "norm.bias": norm.beta,
        "norm.running_mean": norm.moving_mean, "norm.running_var": norm.moving_variance,
        "linear.weight": linear.kernel, "linear.bias": linear.bias,
    }  # fmt: skip


def read_state(model: Any) -> Mapping[str, Any]:
    state = {key: np.asarray(variable).T for key, variable in variables(model).items()}
    return {**state, "norm.num_batches_tracked": np.array(0)}


def layers(model: Any) -> dict[str, Any]:
    return {**{name: model.get_layer(name) for name in LAYERS}, ":skip": model.get_layer("skip")}


TURNED = {"y = y.transpose(1, 2)": "the port has time before channels throughout"}
SUBJECT = Subject(
    reference=(),
    layers=layers,
    read_state=read_state,
    taps=(Tap("Net", "skip", ("BCT>BTC",) * 2, "BCT>BTC", ("y = y + skip",)),),
    no_steps=TURNED,
    modules=(("Net", "", (("BCT>BTC",), ("BTC",))), ("Linear", ".*", (("BTC",), ("BTC",))),
             (".*", ".*", (("BCT>BTC",), ("BCT>BTC",)))),
)  # fmt: skip
SUITE = Suite(
    SUBJECT,
    reference=make_module,
    port=make_port,
    inputs=lambda case: tuple(map(np.random.RandomState(case.seed).standard_normal, case.shapes)),
    goldens=lambda case: Path("nowhere"),
    command="make golden of",
)
live = pytest.mark.live
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


@live
@dtypes
def test_a_plain_keras_model(dtype: str, tmp_path: Path) -> None:
    result = SUITE.run_case(CASE, dtype, live=True)
    assert not result.failures
    assert result.verdict == "pass", result.coverage.missing
    assert str(result.coverage) == "modules 4/4, calls 5/5, taps 1/1, parameters 6/6, buffers 3/3"
    assert {r.path for r in result.layers if r.kind != "parameter"} == {"", ":skip", *LAYERS}
    # The same from a golden.
    golden = SUITE.golden(CASE, tmp_path)
    golden.write(SUITE.live_expected(CASE))
    stored = SUITE.run_case(CASE, dtype, folder=tmp_path)
    assert stored.layers == result.layers
    assert SUITE.stale(CASE, tmp_path) == []
    with pytest.raises(ParityError, match="another version of this row: make golden of net"):
        SUITE.golden(replace(CASE, seed=4), tmp_path).read()


@live
@pytest.mark.parametrize("engine", ["graph", "xla"])
def test_a_plain_keras_model_in_a_graph(engine: Any) -> None:
    result = SUITE.run_case(CASE, "float32", "cumulative", live=True, engine=engine)
    assert result.verdict == "pass", result.failures


@live
def test_watching_changes_nothing() -> None:
    model = make_port(CASE, "float32")
    inputs = [keras.ops.ones((1, 5, size)) for size in (2, 3)]
    before = np.asarray(model(inputs))
    expected = SUITE.live_expected(CASE)
    from parity.core.checking import check_expected

    assert check_expected(SUBJECT, expected, model, "float32").verdict == "pass"
    assert np.asarray(model(inputs)).tobytes() == before.tobytes()
    assert not [name for name, layer in layers(model).items() if "call" in vars(layer)]
    assert "call" not in vars(model)


def _shifted(model: Any) -> None:
    model.get_layer("conv").bias.assign_add([1e-3, 0, 0])


def _steeper(model: Any) -> None:
    model.get_layer("relu").negative_slope = 1e-6


def _averaged(model: Any) -> None:
    model.get_layer("skip")._merge_function = lambda inputs: (inputs[0] + inputs[1]) / 2


@live
@pytest.mark.parametrize(
    ("spoil", "place"), [(_shifted, "conv"), (_steeper, "relu"), (_averaged, ":skip")]
)
def test_a_fault_is_found_where_it_sits(spoil: Callable[[Any], None], place: str) -> None:
    def make_wrong(case: Case, dtype: str) -> Any:
        model = make_port(case, dtype)
        spoil(model)
        return model

    result = replace(SUITE, port=make_wrong).run_case(CASE, "float64", live=True)
    assert result.verdict == "fail"
    assert result.first_divergence == place


@live
@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"no_steps": {}}, "functional step without a tap: "),
        ({"taps": ()}, "functional step without a tap: "),
        ({"layers": lambda model: {"conv": model.get_layer("conv")}}, "not compared: norm call 0"),
        ({"read_state": lambda model: {}}, "parameter not in the port: conv.weight"),
        ({"read_state": lambda _: {"conv.scale": np.ones(3)}}, "parameter only in the port: conv."),
    ],
)
def test_what_the_subject_lacks_is_missing(changes: dict[str, Any], missing: str) -> None:
    suite = replace(SUITE, subject=replace(SUBJECT, **changes))
    result = suite.run_case(CASE, "float64", live=True)
    assert result.verdict == "fail"
    assert any(text.startswith(missing) for text in result.coverage.missing)


@live
@pytest.mark.parametrize("named", [True, False])
def test_a_layer_that_the_reference_lacks(named: bool) -> None:
    """Under a path of its own it is named; without one it is found by what it changes."""

    def longer(case: Case, dtype: str) -> Any:
        model = make_port(case, dtype)
        with policy(dtype):
            extra = keras.layers.Rescaling(1 if named else 1.001, name="extra")
            return keras.Model(model.inputs, extra(model.output))

    def with_it(model: Any) -> dict[str, Any]:
        return {**layers(model), "extra": model.get_layer("extra")}

    subject = replace(SUBJECT, layers=with_it) if named else SUBJECT
    result = replace(SUITE, subject=subject, port=longer).run_case(CASE, "float64", live=True)
    assert result.verdict == "fail"
    if named:
        assert result.coverage.missing == ("only in the port: extra call 0",)
    else:
        assert {r.path for r in result.failures} == {""}


@live
def test_whole_numbers_are_an_input_as_well() -> None:
    import torch

    import parity

    module, port = torch.nn.Embedding(7, 3), keras.layers.Embedding(7, 3)
    port.build()
    port.embeddings.assign(module.weight.detach().numpy())
    subject = Subject((), lambda model: {}, lambda model: {"weight": np.asarray(port.embeddings)})
    tokens = np.array([[1, 6, 0], [2, 2, 5]])
    result = parity.check(module, port, tokens, subject=subject)
    assert result.verdict == "pass", (result.failures, result.coverage.missing)


@live
def test_weight_norm_is_part_of_the_layer_whose_weight_it_makes() -> None:
    import torch

    import parity

    normed = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(3, 4))
    port = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="linear")])
    dense = port.get_layer("linear")
    dense.set_weights([normed.weight.detach().numpy().T, normed.bias.detach().numpy()])
    state = {key: value.numpy() for key, value in normed.state_dict(prefix="0.").items()}
    subject = Subject((), lambda model: {"0": dense}, lambda model: state)
    result = parity.check(torch.nn.Sequential(normed), port, np.ones((2, 3)), subject=subject)
    assert result.verdict == "pass", (result.failures, result.coverage.missing)
    assert str(result.coverage) == "modules 1/1, calls 2/2, taps 0/0, parameters 3/3, buffers 0/0"
    assert {r.path: r.module_class for r in result.layers if r.path} == {
        "0": "Linear",
        "0.bias": "Linear",
        "0.parametrizations.weight.original0": "Linear",
        "0.parametrizations.weight.original1": "Linear",
    }


@live
def test_a_number_of_samples_is_no_input_of_a_step() -> None:
    """Torch code may keep it as a tensor without axes."""
    import torch

    import parity

    class Pad(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = torch.nn.Identity()
            self.register_buffer("left", torch.tensor(2), persistent=False)

        def forward(self, x: Any) -> Any:
            x = torch.nn.functional.pad(self.inner(x), (0, 0, self.left, self.left - 1))
            return x

    Pad.__qualname__ = "Pad"
    x = keras.Input((None, 3))
    inner = keras.layers.Identity(name="inner")(x)
    port = keras.Model(x, keras.layers.ZeroPadding1D((2, 1), name="pad")(inner))
    statement = "x = torch.nn.functional.pad(self.inner(x), (0, 0, self.left, self.left - 1))"
    subject = Subject(
        reference=(),
        layers=lambda model: {"inner": model.get_layer("inner"), ":pad": model.get_layer("pad")},
        read_state=lambda model: {},
        taps=(Tap("Pad", "pad", ("BTC",), "BTC", (statement,), moves=True),),
    )
    result = parity.check(Pad(), port, np.ones((2, 5, 3)), subject=subject)
    assert result.verdict == "pass", (result.failures, result.coverage.missing)
    assert result.coverage.taps.total == 1


@live
def test_a_port_that_nobody_has_called_yet() -> None:
    """Keras builds it by calling its layers without numbers, which is no call of the pass."""
    import torch

    import parity

    class Relu(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return keras.ops.relu(x)

    class Port(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.relu = Relu()

        def call(self, x: Any) -> Any:
            return self.relu(x)

    subject = Subject((), lambda port: {"0": port.relu}, lambda port: {})
    module = torch.nn.Sequential(torch.nn.ReLU())
    for mode in ("isolated", "cumulative"):
        result = parity.check(module, Port(), np.ones((2, 3)), mode=mode, subject=subject)
        assert result.verdict == "pass", (result.failures, result.coverage.missing)


@live
def test_a_list_of_tensors_is_refused() -> None:
    import torch

    import parity

    class Sum(torch.nn.Module):
        def forward(self, tensors: Any) -> Any:
            return sum(tensors)

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.sum = Sum()

        def forward(self, x: Any) -> Any:
            return self.sum([x, x])

    with pytest.raises(ParityError, match="sum: a list of tensors is an argument"):
        parity.check(Net(), make_port(CASE, "float32"), np.ones((1, 2)), subject=SUBJECT)


@live
def test_the_example_of_the_documentation(tmp_path: Path) -> None:
    page = (CORE.parents[1] / "docs" / "parity.md").read_text(encoding="utf-8")
    section = page.partition("## Prove your own port")[2]
    example = section.partition("```python\n")[2].partition("```")[0]
    printed = section.partition("It prints `")[2].partition("`")[0]
    (tmp_path / "example.py").write_text(example, encoding="utf-8")
    command = [sys.executable, str(tmp_path / "example.py")]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout == f"{printed}\n"
