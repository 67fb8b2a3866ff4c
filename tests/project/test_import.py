"""What `import demucs_tf` costs, and what it offers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import demucs_tf

HEAVY = ("tensorflow", "keras", "torch", "demucs", "numpy", "soundfile", "ray", "pyarrow", "fsspec")


def in_a_fresh_python(code: str) -> str:
    """What the code prints, without the setting that TensorFlow leaves in a process."""
    environment = {name: value for name, value in os.environ.items() if name != "TF2_BEHAVIOR"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return done.stdout.strip()


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = f"import sys, demucs_tf; print([m for m in {HEAVY} if m in sys.modules])"
    assert in_a_fresh_python(code) == "[]"


def test_importing_the_package_is_quick() -> None:
    """The contract says 0.2 s; the best of three, because other programs run as well."""
    code = "import time; s = time.perf_counter(); import demucs_tf; print(time.perf_counter() - s)"
    assert min(float(in_a_fresh_python(code)) for _ in range(3)) <= 0.2


@pytest.mark.parametrize("name", demucs_tf.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(demucs_tf, name) is not None
    assert name in dir(demucs_tf)


def test_commands_import_no_tables_and_no_pictures() -> None:
    """Keras does where they are, for half a second; they can be imported afterwards."""
    code = (
        "import sys; from demucs_tf.utils.quiet import import_tensorflow, silent_imports\n"
        "with silent_imports(): import_tensorflow()\n"
        "print({'keras', 'pandas', 'matplotlib'} & set(sys.modules)); import pandas, matplotlib"
    )
    assert in_a_fresh_python(code) == "{'keras'}"


def test_using_the_public_names_does_not_import_the_reference() -> None:
    names = [name for name in demucs_tf.__all__ if name != "__version__"]
    code = (
        f"import sys, demucs_tf; [getattr(demucs_tf, n) for n in {names}]; "
        "print([m for m in ('torch', 'demucs', 'julius') if m in sys.modules])"
    )
    assert in_a_fresh_python(code).splitlines()[-1] == "[]"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'load_modle'"):
        demucs_tf.load_modle  # noqa: B018


def test_the_version_is_that_of_the_project() -> None:
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'^version = "(.*)"$', project, re.MULTILINE)
    assert found is not None
    assert found[1] == demucs_tf.__version__
