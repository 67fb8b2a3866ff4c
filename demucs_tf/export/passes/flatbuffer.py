"""LiteRT's file as objects: names, shared constants, signatures, narrower weights."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_ALIGNMENT = 16  # bytes; what the runtime maps into memory without a copy
_FEW = 1024  # numbers: constants with fewer stay float32


def schema() -> Any:
    """The classes that TensorFlow generates of the format."""
    from tensorflow.lite.python import schema_py_generated

    return schema_py_generated


def parsed(data: bytes) -> Any:
    """A file as an object."""
    generated = schema()
    return generated.ModelT.InitFromObj(generated.Model.GetRootAsModel(data, 0))


def serialised(model: Any) -> bytes:
    """An object as a file, in which constants are aligned."""
    import flatbuffers

    builder = flatbuffers.Builder(sum(_size(buffer) for buffer in model.buffers) + 2**20)
    aligned = [_Aligned(schema(), buffer.data) for buffer in model.buffers]
    model.buffers, kept = aligned, model.buffers
    try:
        offset = model.Pack(builder)
    finally:
        model.buffers = kept
    builder.Finish(offset, file_identifier=b"TFL3")
    return bytes(builder.Output())


class _Aligned:
    """A constant's bytes: the generated classes do not align them."""

    def __init__(self, generated: Any, data: Array | None) -> None:
        self._schema = generated
        self._data = data

    def Pack(self, builder: Any) -> Any:
        """Write them, as the generated classes do."""
        if self._data is None or not len(self._data):
            self._schema.BufferStart(builder)
            return self._schema.BufferEnd(builder)
        length = len(self._data)
        builder.StartVector(1, length, _ALIGNMENT)
        builder.head = builder.head - length
        builder.Bytes[builder.head : builder.head + length] = self._data.tobytes()
        vector = builder.EndVector()
        self._schema.BufferStart(builder)
        self._schema.BufferAddData(builder, vector)
        return self._schema.BufferEnd(builder)


def _size(buffer: Any) -> int:
    return 0 if buffer.data is None else len(buffer.data) + 64


def constant(model: Any, tensor: Any) -> Array | None:
    """A tensor's bytes, if it is a constant."""
    data: Array | None = model.buffers[tensor.buffer].data
    return None if data is None or not len(data) else data


def canonical(model: Any) -> None:
    """Leave out what differs from one conversion of a model to the next, and what is there twice.

    Names of tensors are made of those of Keras's layers, which are numbered in each process.
    """
    for number, subgraph in enumerate(model.subgraphs):
        subgraph.name = f"subgraph_{number}"
        subgraph.debugMetadataIndex = -1
        for tensor in subgraph.tensors:
            tensor.name = ""
        for operator in subgraph.operators:
            operator.debugMetadataIndex = -1
        _order_tensors(subgraph)
    model.description = "demucs_tf"
    model.metadata = model.metadataBuffer = None
    _share_constants(model)


def _order_tensors(subgraph: Any) -> None:
    """Number tensors in the order in which they are used: converters sort constants by name."""
    places: dict[int, int] = {-1: -1}  # an input that is left out
    uses = [subgraph.inputs]
    for operator in subgraph.operators:
        uses += [operator.inputs, operator.outputs]
    for use in (*uses, subgraph.outputs):
        for index in use:
            places.setdefault(int(index), len(places) - 1)
    tensors = subgraph.tensors
    subgraph.tensors = [tensors[index] for index in places if index >= 0]
    for each in (subgraph, *subgraph.operators):
        each.inputs = [places[int(index)] for index in each.inputs]
        each.outputs = [places[int(index)] for index in each.outputs]


def _share_constants(model: Any) -> None:
    """One buffer for equal bytes, and none that nobody uses; the first has to be the empty one."""
    buffers: list[Any] = [schema().BufferT()]
    places: dict[bytes, int] = {}
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            data = constant(model, tensor)
            if data is None:
                tensor.buffer = 0
                continue
            digest = _digest(model, tensor)
            if digest not in places:
                places[digest] = len(buffers)
                buffers.append(model.buffers[tensor.buffer])
            tensor.buffer = places[digest]
    model.buffers = buffers


def _digest(model: Any, tensor: Any) -> bytes:
    """Of a constant's bytes; of nothing, if it is none."""
    data = constant(model, tensor)
    return b"" if data is None else hashlib.sha256(data.tobytes()).digest()


def sign(model: Any, key: str, subgraph: int, outputs: Sequence[str]) -> None:
    """Give a subgraph's input and outputs their names, and make a signature of them."""
    generated = schema()
    graph = model.subgraphs[subgraph]

    def named(index: int, name: str) -> Any:
        graph.tensors[index].name = name
        made = generated.TensorMapT()
        made.name, made.tensorIndex = name, int(index)
        return made

    signature = generated.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = key, subgraph
    signature.inputs = [named(graph.inputs[0], "mix")]
    signature.outputs = [named(*pair) for pair in zip(graph.outputs, outputs, strict=True)]
    model.signatureDefs = [*(model.signatureDefs or []), signature]


def fill_inputs(model: Any, values: Sequence[Array]) -> None:
    """Make constants of all inputs but the first, in their order."""
    graph = model.subgraphs[0]
    first, *others = graph.inputs
    for index, value in zip(others, values, strict=True):
        tensor = graph.tensors[index]
        tensor.buffer = len(model.buffers)
        model.buffers.append(_buffer(value))
    graph.inputs = [first]


def narrow(model: Any, weights: str, large: int) -> None:
    """Store the weights as float16 or int8, and the rest as it is.

    Weights are what float16 holds without a loss, as they were rounded to it beforehand: tables of
    sines and windows are not, nor what a converter has multiplied them with. Whole numbers are
    positions, of which int8 holds too few. Where a checkpoint is in half precision, small weights
    are such as well: int8 leaves those with fewer than `large` numbers.
    """
    make = {"float16": _as_float16, "int8": _as_int8}[weights]
    least = large if weights == "int8" else _FEW
    kept = {_digest(model, each) for graph in model.subgraphs[1:] for each in graph.tensors}
    for subgraph in model.subgraphs[:1]:
        narrowed: dict[int, int] = {}
        for index, tensor in _weights(model, subgraph, max(least, _FEW)):
            if _digest(model, tensor) in kept:  # in a loop, so that it is there anyway
                continue
            narrowed[index] = len(subgraph.tensors)
            subgraph.tensors.append(make(model, tensor))
            tensor.buffer = 0
        code = _dequantize(model) if narrowed else 0
        widened = [_operator(code, small, index) for index, small in narrowed.items()]
        subgraph.operators = widened + subgraph.operators


def _weights(model: Any, subgraph: Any, numbers: int) -> Iterator[tuple[int, Any]]:
    float32 = schema().TensorType.FLOAT32
    for index, tensor in list(enumerate(subgraph.tensors)):
        data = constant(model, tensor)
        if data is not None and tensor.type == float32 and len(data) >= 4 * numbers:
            values = np.frombuffer(data.tobytes(), np.float32)
            with np.errstate(over="ignore"):  # such a value is none of a weight
                same = np.array_equal(values, values.astype(np.float16).astype(np.float32))
            if same and np.any(values != np.rint(values)):
                yield index, tensor


def _as_float16(model: Any, tensor: Any) -> Any:
    values = np.frombuffer(constant(model, tensor).tobytes(), np.float32)  # type: ignore[union-attr]
    return _tensor(model, tensor, schema().TensorType.FLOAT16, values.astype(np.float16))


def _as_int8(model: Any, tensor: Any) -> Any:
    """Symmetric, with a factor for each output channel, which is the first axis."""
    values = np.frombuffer(constant(model, tensor).tobytes(), np.float32)  # type: ignore[union-attr]
    rows = values.reshape(tensor.shape[0], -1)
    scale = np.abs(rows).max(1).astype(np.float32) / np.float32(127)
    scale[scale == 0] = 1
    made = _tensor(
        model, tensor, schema().TensorType.INT8, np.rint(rows / scale[:, None]).astype(np.int8)
    )
    made.quantization = schema().QuantizationParametersT()
    made.quantization.scale = scale
    made.quantization.zeroPoint = np.zeros(len(scale), np.int64)
    made.quantization.quantizedDimension = 0
    return made


def _tensor(model: Any, like: Any, kind: int, values: Array) -> Any:
    made = schema().TensorT()
    made.shape, made.type, made.name = like.shape, kind, ""
    made.hasRank = like.hasRank
    made.buffer = len(model.buffers)
    model.buffers.append(_buffer(values))
    return made


def _buffer(values: Array) -> Any:
    made = schema().BufferT()
    made.data = np.frombuffer(values.tobytes(), np.uint8)
    return made


def _dequantize(model: Any) -> int:
    """The index of the operator's code."""
    code = schema().OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema().BuiltinOperator.DEQUANTIZE
    code.version = 5  # per-channel int8
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def _operator(code: int, source: int, target: int) -> Any:
    made = schema().OperatorT()
    made.opcodeIndex, made.inputs, made.outputs = code, [source], [target]
    made.builtinOptionsType = schema().BuiltinOptions.DequantizeOptions
    made.builtinOptions = schema().DequantizeOptionsT()
    return made
