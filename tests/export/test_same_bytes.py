"""The same model gives the same bytes, whatever was made before it in whatever process."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from demucs_tf.export import export_model
from tests.export.models import KINDS, model

CODE = """
import sys
from hashlib import sha256
from demucs_tf.export import export_model
from tests.export.models import KINDS, model

model("demucs"), model("htdemucs")  # Keras goes on counting
for kind in KINDS:
    for format in ("tflite", "onnx"):
        (path,) = export_model(model(kind), f"{sys.argv[1]}/{kind}.{format}", format)
        print(kind, format, sha256(path.read_bytes()).hexdigest())
"""


@pytest.fixture(scope="module", name="elsewhere")
def _elsewhere(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], str]:
    """What another process writes, with other hashes of names and other numbers of layers."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path_factory.mktemp("elsewhere"))],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    return {(kind, format): digest for kind, format, digest in lines}


@pytest.mark.parametrize("format", ["tflite", "onnx"])
@pytest.mark.parametrize("kind", KINDS)
def test_twice(
    exported: Callable[..., Path],
    elsewhere: dict[tuple[str, str], str],
    tmp_path: Path,
    kind: str,
    format: str,
) -> None:
    first = exported(kind, format).read_bytes()
    (path,) = export_model(model(kind), tmp_path / f"model.{format}", format)
    assert path.read_bytes() == first
    assert elsewhere[kind, format] == hashlib.sha256(first).hexdigest()
