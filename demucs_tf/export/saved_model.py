"""SavedModel: TensorFlow's own graph, with any batch and any length that the model takes."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from demucs_tf.export.graph import forward
from demucs_tf.export.lengths import Lengths
from demucs_tf.models.bag import BagOfModels
from demucs_tf.utils.quiet import import_tensorflow, quiet
from demucs_tf.utils.text import printable


def write(model: Any, path: Path, lengths: Lengths, weights: str) -> None:
    """Write the folder `path`, which needs TensorFlow alone to be loaded.

    Its signatures take `mix` and give {"stems": ...}: `separate` any length, `separate_segment`
    the one of `lengths`. Both share the weights.

    TensorFlow Serving takes, with `signature_name` "separate" or "separate_segment",
    - by REST (`:predict`) {"instances": [(A, T), ...]} and gives {"predictions": [(S, A, T), ...]},
      or {"inputs": {"mix": (B, A, T)}} and gives {"outputs": (B, S, A, T)};
    - by gRPC a PredictRequest with `inputs["mix"]`, float, and gives `outputs["stems"]`.

    Raises:
        OSError: it can't be written.
    """
    tf = import_tensorflow()
    module = tf.Module()
    models = model.models if isinstance(model, BagOfModels) else [model]
    module.weights = [variable.value for each in models for variable in each.variables]

    def signature(time: int | None) -> Any:
        run = forward(model, lengths if time else None)
        mix = tf.TensorSpec([None, model.audio_channels, time], tf.float32, name="mix")
        return tf.function(lambda mix: {"stems": run(mix)}, input_signature=[mix], autograph=False)

    module.separate = signature(None)
    module.separate_segment = signature(lengths.length)
    signatures = {name: getattr(module, name) for name in ("separate", "separate_segment")}
    with warnings.catch_warnings(), quiet():
        warnings.simplefilter("ignore")
        try:
            tf.saved_model.save(module, str(path), signatures)
        except tf.errors.OpError as error:  # of its writer; a full disk counts as a lack of memory
            reason = error.message.rpartition("; ")[2].partition(" [Op:")[0]
            raise OSError(printable(reason, 300)) from None
