"""The exported files that are measured."""

from __future__ import annotations

from pathlib import Path

OVERLAP = 0.25

# Format, weights. The order is that of the page's columns.
KINDS = (
    ("tflite", "float32"),
    ("tflite", "float16"),
    ("tflite", "int8"),
    ("onnx", "float32"),
    ("onnx", "float16"),
)

MORE = ("htdemucs",)  # is also measured with weights of half precision, in bags, and elsewhere
# Format, table and way of a bag. One graph of four members would take much memory to make.
BAGS = (
    ("tflite", "one-hot", "folder"),
    ("tflite", "general", "folder"),
    ("tflite", "one-hot of two", "fused"),
    ("tflite", "general of two", "fused"),
    ("onnx", "general of two", "fused"),
)


def file_of(folder: Path, name: str, kind: tuple[str, str], variant: str = "") -> Path:
    """Where the file of a model lies.

    Args:
        folder: of all files.
        name: of the model.
        kind: format and weights.
        variant: "half": made of weights in half precision.
    """
    form, weights = kind
    return folder / f"{'-'.join(filter(None, (name, variant, weights)))}.{form}"
