"""What a case is run by: the columns of the table, with their bounds. Data, with reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from parity.cases import Case
from parity.core.capture.port import Engine

Format = Literal["saved-model", "tflite", "onnx"]


@dataclass(frozen=True)
class Column:
    """One way to run a model.

    Attributes:
        name: on top of the column.
        decibel: the least signal-to-noise ratio of each stem; see `bound`.
        engine: how TensorFlow runs it; None: it is exported.
        format: what it is exported to; None: it is not.
        weights: in the file.
    """

    name: str
    decibel: float
    engine: Engine | None = None
    format: Format | None = None
    weights: str = "float32"


# What TensorFlow runs is held to the harness's own tolerance, a few times the reference's own
# error in float32, and no case has a wider one than this.
_AS_IN_RUN = 60.0
# Another runtime adds up in other orders, and has other exponentials; the transform is a product
# with a matrix, whose sums over a window are longer than those of an FFT.
_OTHER_RUNTIME = 100.0
# A weight keeps 11 bits, so each product is off by 2^-13 on average, -78 dB, and a dozen layers
# one behind the other by some three times that.
_FLOAT16 = 60.0
# A weight keeps 8 bits of the largest in its row: -45 dB, and the same a dozen times.
_INT8 = 35.0

COLUMNS = (
    Column("eager", _AS_IN_RUN, engine="eager"),
    Column("graph", _AS_IN_RUN, engine="graph"),
    Column("XLA", _AS_IN_RUN, engine="xla"),
    Column("SavedModel", _AS_IN_RUN, format="saved-model"),
    Column("LiteRT float32", _OTHER_RUNTIME, format="tflite"),
    Column("LiteRT float16", _FLOAT16, format="tflite", weights="float16"),
    Column("LiteRT int8", _INT8, format="tflite", weights="int8"),
    Column("ONNX float32", _OTHER_RUNTIME, format="onnx"),
    Column("ONNX float16", _FLOAT16, format="onnx", weights="float16"),
)
BY_NAME = {column.name: column for column in COLUMNS}

# Inside a graph, the harness's own tolerances hold for every layer and step but these, by the tap.
# Files add statistics up in float32, and the mean of a spectrogram is next to zero: what cancels in
# the sum is lost. It is subtracted from what has the size of the standard deviation, and there, in
# the next step, the general tolerance holds again. Seen: 2.7 times the tolerance.
WIDER_INSIDE = {"mean": 8.0, "mean_t": 8.0}


@dataclass(frozen=True)
class Row:
    """A case of the table, and what it is there for."""

    case: str
    hears: str


ROWS = (
    Row("demucs-lstm-framed", "LSTM over frames"),
    Row("demucs-attention", "LocalState"),
    Row("demucs-v2", "LSTM of two layers in the bottleneck"),
    Row("demucs-mono", "one channel, four stems"),
    Row("hdemucs-default", "hybrid: LSTM, LocalState, norms"),
    Row("hdemucs-multi-dconv", "MultiWrap"),
    Row("hdemucs-masks", "masks"),
    Row("hdemucs-wiener0", "Wiener filter, no iteration"),
    Row("hdemucs-wiener1", "Wiener filter, one iteration"),
    Row("hdemucs-wiener2-residual", "Wiener filter, two iterations, a residual stem"),
    Row("hdemucs-old", "the old padding"),
    Row("hdemucs-spectrogram", "the spectrogram alone"),
    Row("htdemucs-default", "transformer, the structure of htdemucs"),
    Row("htdemucs-wide", "weights that int8 applies to, mono"),
    Row("htdemucs-group-norm", "transformer, group norms"),
    Row("htdemucs-cape", "transformer, other positions, a batch of two"),
    Row("htdemucs-dft", "the transform as a product, in TensorFlow as well"),
)

# What no file can do, by case. `Case.name` -> reason.
NOT_IN_FILES = {
    "htdemucs-random-shift": "the reference draws a shift of positions, and a file draws nothing",
}


def refusal(case: Case, column: Column) -> str:
    """Why a case can't be held against this column at all; "" if it can."""
    return NOT_IN_FILES.get(case.name, "") if column.format else ""


def bound(column: Column, tolerance: float) -> float:
    """The bound on the relative L2 error of a stem.

    Args:
        column: what runs the case.
        tolerance: that of the harness for TensorFlow's own pass in float32. Where the reference
            itself is off by more than a column allows, as with a stem next to silence, that counts.
    """
    if column.engine or column.format == "saved-model":
        return tolerance
    return max(10 ** (-column.decibel / 20), tolerance)
