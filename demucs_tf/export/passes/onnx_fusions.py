"""Single operators of ONNX in place of what TensorFlow makes several of."""

from __future__ import annotations

from typing import Any

import numpy as np

from demucs_tf.export.passes.onnx_view import Array, View

OPSET = 20  # the first with Gelu


def fuse(model: Any) -> None:
    """Put Gelu, LayerNormalization and Gemm where they are meant, and zeros within convolutions.

    Runtimes read and write a tensor once for each, in place of up to six times.
    """
    view = View(model.graph)
    for kind, rewrite in (
        ("Erf", _gelu),
        ("Reciprocal", _layer_norm),
        ("MatMul", _gemm),
        ("Pad", _pad),
    ):
        for node in reversed(model.graph.node):  # of two pads the one next to the convolution
            if node.op_type == kind:
                rewrite(view, node)
    model.ir_version = max(model.ir_version, 9)  # that of the operators
    for each in model.opset_import:
        if not each.domain:
            each.version = OPSET


def _gelu(view: View, erf: Any) -> None:
    """0.5 x (1 + erf(x sqrt(0.5))) -> Gelu(x)."""
    scaled = view.maker(erf.input[0], "Mul")
    x = scaled and view.beside(scaled, np.sqrt(0.5))
    plus = view.only_user(erf, "Add")
    product = plus and view.beside(plus, 1) and view.only_user(plus, "Mul")
    half = product and view.maker(view.other(product, plus.output[0]), "Mul")
    if x and product and half and view.beside(half, 0.5) == x:
        view.replace(product, "Gelu", [x])


def _layer_norm(view: View, reciprocal: Any) -> None:
    """(x - mean) / sqrt(variance + epsilon) w + b over the last axis -> LayerNormalization."""
    root = view.maker(reciprocal.input[0], "Sqrt")
    plus = root and view.maker(root.input[0], "Add")
    found = [view.maker(name, "ReduceMean") for name in plus.input] if plus else []
    variance = next(filter(None, found), None)
    square = variance and view.over_last_axis(variance) and view.maker(variance.input[0], "Mul")
    if not variance or not square or square.input[0] != square.input[1]:
        return
    centred = view.maker(square.input[0], "Sub")
    mean = centred and view.maker(centred.input[1], "ReduceMean")
    epsilon = view.constant(view.other(plus, variance.output[0]))
    scaled = view.only_user(reciprocal, "Mul")
    weighted = scaled and view.only_user(scaled, "Mul")
    shifted = weighted and view.only_user(weighted, "Add")
    if not shifted or not mean or not view.over_last_axis(mean) or epsilon is None:
        return
    weight, bias = view.other(weighted, scaled.output[0]), view.other(shifted, weighted.output[0])
    vectors = [view.constant(name) for name in (weight, bias)]
    if mean.input[0] == centred.input[0] and all(v is not None and v.ndim == 1 for v in vectors):
        view.replace(
            shifted,
            "LayerNormalization",
            [centred.input[0], weight, bias],
            axis=-1,
            epsilon=float(epsilon),
        )


def _gemm(view: View, product: Any) -> None:
    """reshape(x W) + b -> reshape(Gemm(x, W, b)), for rows x and constant W and b.

    Not before a Gelu: ONNX Runtime adds the bias together with that.
    """
    rows, weight = view.maker(product.input[0], "Reshape"), view.constant(product.input[1])
    shape = rows and view.constant(rows.input[1])
    reshape = view.only_user(product, "Reshape")
    plus = reshape and view.only_user(reshape, "Add")
    if shape is None or shape.size != 2 or weight is None or not plus:
        return
    name = view.other(plus, reshape.output[0])
    bias = view.constant(name)
    if bias is not None and bias.shape == weight.shape[1:] and not view.feeds(plus, "Gelu"):
        view.replace(product, "Gemm", [*product.input, name])
        view.replace(plus, "Reshape", [product.output[0], reshape.input[1]])


def _pad(view: View, pad: Any) -> None:
    """Conv(pad(x)) -> Conv(x), which pads by itself, for zeros along what its kernel moves."""
    widths = view.constant(pad.input[1])
    values = [view.constant(name) for name in pad.input[2:3] if name]
    zeros = all(value is not None and not value.any() for value in values)
    if widths is None or not zeros or view.attributes(pad).get("mode", b"constant") != b"constant":
        return
    convolutions = _convolutions(view, pad, widths.reshape(2, -1))
    for node, around in convolutions:
        told = view.attributes(node)
        pads = around.reshape(-1) + told.get("pads", 0)
        view.tell(node, **{**told, "pads": pads.tolist()})
    if convolutions:
        view.bypass(pad)


def _convolutions(view: View, node: Any, widths: Array) -> list[tuple[Any, Array]]:
    """What uses a node's output, with zeros around it; nothing: not only convolutions do."""
    found = []
    for user in view.users(node):
        told = view.attributes(user)
        inside = not widths[:, :2].any() and widths.min() >= 0  # not of batch and channels
        if user.op_type == "Conv" and inside and "auto_pad" not in told:
            behind = [(user, widths[:, 2:])]
        elif user.op_type == "Transpose":
            behind = _convolutions(view, user, widths[:, told["perm"]])
        elif user.op_type == "Unsqueeze" and (axes := view.constant(user.input[1])) is not None:
            behind = _convolutions(view, user, np.insert(widths, axes, 0, axis=1))
        else:
            return []
        if not behind:
            return []
        found += behind
    return [] if view.is_output(node) else found
