"""The part of TensorFlow that runs graphs is there without the rest, and never in its way."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from demucs_tf.utils import runtime
from demucs_tf.utils.quiet import is_whole
from demucs_tf.utils.runtime import import_runtime
from tests.project.test_import import in_a_fresh_python

# Adds two numbers in a session: what a process does whose graphs are kept.
START = """
import json, sys
from demucs_tf.utils import runtime
from demucs_tf.utils.quiet import import_tensorflow, is_whole
from demucs_tf.utils.runtime import import_runtime
rt = import_runtime()
graph = rt.Graph()
definition = rt.GraphDef()
definition.node.add(name="x", op="Placeholder").attr["dtype"].type = 1
definition.node.add(name="y", op="AddV2", input=["x", "x"]).attr["T"].type = 1
with graph.as_default():
    rt.import_graph_def(definition, name="")
with rt.Session(graph=graph, config=rt.ConfigProto()) as session:
    assert session.run("y:0", {"x:0": 21.0}) == 42
assert [each.device_type for each in rt.list_logical_devices()][:1] == ["CPU"]
with rt.device_v2("CPU:0"):
    pass
assert rt.get_inter_op_parallelism_threads() == rt.get_intra_op_parallelism_threads() == 0
"""


def in_a_new_process(code: str) -> Any:
    """What the code prints last, as JSON."""
    return json.loads(in_a_fresh_python(code).splitlines()[-1])


def test_graphs_run_with_a_fraction_of_the_modules() -> None:
    code = START + (
        "def count(): return sum(name.startswith('tensorflow.') for name in sys.modules)\n"
        "part, whole = count(), is_whole()\n"
        "import_tensorflow(keras=False)\n"
        "print(json.dumps([whole, is_whole(), part / count()]))"
    )
    begun, then, share = in_a_new_process(code)
    assert (begun, then) == (False, True)
    assert share < 0.25


@pytest.mark.parametrize(
    "asked",
    [
        "import tensorflow as tf",
        "from tensorflow import constant; import tensorflow as tf",
        "import keras; import tensorflow as tf",
        "from demucs_tf.utils.quiet import import_tensorflow; tf = import_tensorflow()",
        "from tensorflow.python.framework import ops; import tensorflow as tf",
    ],
)
def test_whoever_asks_for_tensorflow_gets_it(asked: str) -> None:
    """As it is without a beginning: eager, with Keras, and with the very same parts."""
    code = (
        START
        + asked
        + (
            "\nimport keras, operator\n"
            "assert tf.executing_eagerly() and is_whole() and not hasattr(tf, 'nothing')\n"
            "assert float(tf.function(lambda x: x + 1)(tf.constant(1.0))) == 2\n"
            "assert keras.layers.Dense(3)(tf.ones([2, 2])).shape == (2, 3)\n"
            "parts = runtime._PLACES.items()\n"
            "same = {n: getattr(sys.modules[place], n) is operator.attrgetter(public)(tf)"
            " for n, (place, public) in parts}\n"
            "print(json.dumps([n for n, each in same.items() if not each]))"
        )
    )
    assert in_a_new_process(code) == []


def test_threads_wait_for_the_rest() -> None:
    code = START + (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "import tensorflow as tf\n"
        "names = ['add', 'signal', 'io', 'nn'] * 4\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    found = list(pool.map(lambda name: hasattr(tf, name), names))\n"
        "print(json.dumps(found))"
    )
    assert in_a_new_process(code) == [True] * 16


def test_the_library_need_not_be_read_before() -> None:
    """As on Windows, where ctypes has no library of its own."""
    code = "import ctypes, sys; ctypes.CDLL = None" + START + "print(json.dumps(is_whole()))"
    assert in_a_new_process(code) is False


def test_two_threads_begin_once() -> None:
    code = START.replace(
        "rt = import_runtime()",
        "from concurrent.futures import ThreadPoolExecutor\n"
        "import time\n"
        "begun, begin = [], runtime._begin\n"
        "runtime._has_plugins = lambda: time.sleep(0.2)\n"
        "runtime._begin = lambda: (begun.append(1), begin())\n"
        "with ThreadPoolExecutor(4) as pool:\n"
        "    rt, *_ = pool.map(lambda _: import_runtime(), range(4))",
    )
    assert in_a_new_process(code + "print(json.dumps([len(begun), is_whole()]))") == [1, False]


def test_all_is_imported_where_a_part_has_moved() -> None:
    code = (
        START.replace(
            "rt = import_runtime()",
            "runtime._PLACES['Session'] = ('tensorflow.python.elsewhere', 'compat.v1.Session')\n"
            "rt = import_runtime()",
        )
        + "print(json.dumps(is_whole()))"
    )
    assert in_a_new_process(code) is True


@pytest.mark.parametrize(
    "plugin",
    [
        "os.environ['TF_USE_MODULAR_FILESYSTEM'] = '0'",
        "os.makedirs(os.path.join(folder, 'tensorflow-plugins')); sys.path.append(folder)",
    ],
)
def test_all_is_imported_where_more_libraries_belong_to_it(plugin: str, tmp_path: Path) -> None:
    """A GPU of another maker is one of them."""
    code = f"import os, sys; folder = {str(tmp_path)!r}; {plugin}" + START
    assert in_a_new_process(code + "print(json.dumps(is_whole()))") is True


def test_where_all_is_there_its_public_names_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_whole()
    devices = ["one of another make"]
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda: devices)
    assert import_runtime().list_logical_devices() is devices


def test_other_names_are_missing() -> None:
    with pytest.raises(AttributeError, match="function"):
        import_runtime().function  # noqa: B018
    assert "function" not in runtime._PLACES


def test_nothing_is_left_of_it_where_tensorflow_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    modules = {name: each for name, each in sys.modules.items() if name != "tensorflow"}
    monkeypatch.setattr(sys, "modules", modules)
    monkeypatch.setattr(runtime, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="tensorflow"):
        import_runtime()
    assert "tensorflow" not in sys.modules
