"""No file from outside reaches a loader that runs what the file asks for."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_FOLDERS = ("demucs_tf", "parity", "benchmarks", "examples")
# Everything below these, but for what a call of it says to be safe.
_RUNS_CODE = (
    "cloudpickle",
    "demucs.hf",
    "demucs.pretrained",
    "demucs.repo",
    "demucs.states.load_model",
    "demucs.train",
    "dill",
    "joblib",
    "keras.config.enable_unsafe_deserialization",
    "marshal",
    "pickle.Unpickler",
    "pickle.load",
    "pickle.loads",
    "runpy",
    "shelve",
    "torch.hub",
    "torch.jit.load",
    "torch.load",
    "torch.serialization",
    "yaml.full_load",
    "yaml.load",
    "yaml.unsafe_load",
)
# A function -> the argument that makes it safe, and its value; True: safe without, too.
_SAFE_WITH = {
    "numpy.load": ("allow_pickle", False, True),
    "keras.models.load_model": ("safe_mode", True, False),
    "keras.saving.load_model": ("safe_mode", True, False),
}


def _offences(source: str) -> list[str]:
    """What a module imports, names or calls that would run what a file asks for."""
    tree = ast.parse(source)
    names: dict[str, str] = {}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
                found += [alias.name] if _is_listed(alias.name) else []
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                whole = names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                found += [whole] if _is_listed(whole) else []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            whole = _dotted(node, names)
            found += [whole] if _is_listed(whole) else []
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found += [node.value] if node.value in _RUNS_CODE else []  # for import_module
        if isinstance(node, ast.Call) and not _is_safe(node, names):
            found.append(_dotted(node.func, names))
    return found


def _is_listed(name: str) -> bool:
    return any(name == listed or name.startswith(f"{listed}.") for listed in _RUNS_CODE)


def _dotted(node: ast.expr, names: dict[str, str]) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value, names)}.{node.attr}"
    return names.get(node.id, node.id) if isinstance(node, ast.Name) else ""


def _is_safe(call: ast.Call, names: dict[str, str]) -> bool:
    name = _dotted(call.func, names)
    if name not in _SAFE_WITH:
        return True
    argument, wanted, is_default = _SAFE_WITH[name]
    if any(keyword.arg is None for keyword in call.keywords) or len(call.args) > 2:
        return False
    given = [keyword.value for keyword in call.keywords if keyword.arg == argument]
    if not given:
        return is_default
    return isinstance(given[0], ast.Constant) and given[0].value is wanted


def test_no_loader_that_runs_code() -> None:
    files = [path for folder in _FOLDERS for path in (_ROOT / folder).rglob("*.py")]
    assert len(files) > 100
    found = {
        str(path.relative_to(_ROOT)): offences
        for path in files
        if (offences := _offences(path.read_text("utf-8")))
    }
    assert not found


@pytest.mark.parametrize(
    "source",
    [
        "import torch\ntorch.load('x')",
        "import torch as t\nt.load('x')",
        "from torch import load as read\nread('x')",
        "import torch\nread = torch.load",
        "import torch\ntorch.serialization.load('x')",
        "from demucs.states import load_model\nload_model('x')",
        "from demucs import states\nstates.load_model('x')",
        "import demucs.states\ndemucs.states.load_model('x')",
        "from demucs.hf import load_safetensors_model as f",
        "from demucs.pretrained import get_model",
        "import importlib\nimportlib.import_module('demucs.hf')",
        "import pickle\npickle.loads(b'')",
        "from pickle import Unpickler",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "import numpy as np\nnp.load('x', allow_pickle=flag)",
        "import numpy as np\nnp.load('x', **options)",
        "import numpy\nnumpy.load('x', None, True)",
        "import keras\nkeras.models.load_model('x')",
        "import keras\nkeras.models.load_model('x', safe_mode=False)",
        "from keras.saving import load_model\nload_model('x')",
        "import yaml\nyaml.load('x', yaml.Loader)",
        "def f():\n    import torch\n    return torch.load('x')",
    ],
)
def test_such_a_loader_would_be_found(source: str) -> None:
    assert _offences(source)


@pytest.mark.parametrize(
    "source",
    [
        "import torch\ntorch.ones(3)",
        "import numpy as np\nnp.load('x')",
        "import numpy as np\nnp.load('x', allow_pickle=False)",
        "import keras\nkeras.models.load_model('x', compile=False, safe_mode=True)",
        "import yaml\nyaml.safe_load('x')",
        "import json\njson.load(file)",
    ],
)
def test_what_runs_nothing_is_left_alone(source: str) -> None:
    assert not _offences(source)
