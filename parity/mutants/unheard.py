"""Why no stored case takes some branches of the port: a row each, or one for many of a kind."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    """Patterns of a place and of a way, and why no stored case goes there.

    `where` is "file function", `way` "source -> target", both with `*` for anything.
    """

    where: str
    way: str
    why: str

    def __str__(self) -> str:
        return f"{self.where}: {self.way}"


ERROR = "It refuses what is no model or no mixture; a case runs to its end."
FILES = (
    "What other runtimes get in exported files, which `python -m parity exports` holds against the "
    "goldens."
)
LENGTHS = (
    "One graph for every length, which parity/tests/test_engines.py holds against the goldens, "
    "with and without XLA."
)
JOINED = (
    "Layers joined in the graphs of tracks, which the graphs for every length are as well; "
    "parity/tests/test_engines.py."
)
BACKWARD = "The way back: `python -m parity run --backward` holds it against goldens of its own."
TRAINING = "Drawn or done in training alone; tests/layers and tests/training."
MADE = "How a model is made, kept or told of; no arithmetic of a pass."
OPEN = "Left to those who write models or watch them; nothing of ours runs it."
BARE = "Models whose graphs are on disk, which have no layers: tests/inference/test_bare_models.py."
BFLOAT = "Products in bfloat16, which are not the reference's numbers: no case asks for them."
LONG = "Sums so long that float32 would lose digits: at full size alone, in the live cases."
BAGS = "Bags are run through `apply_model`, which asks their members."

REASONS: tuple[Reason, ...] = (
    Reason("*", "* -> raise ValueError(*", ERROR),
    Reason("models/ranges.py *", "* -> kind = *", ERROR),
    Reason("models/ranges.py *", "* -> count = *", ERROR),
    # Exported files
    Reason("blocks/*", "if is_portable(): -> *", FILES),
    Reason("layers/*", "if is_portable(): *-> *", FILES),
    Reason("blocks/local_state.py LocalState._delta", "if not is_portable(): -> *", FILES),
    Reason("blocks/transformer.py *._sinusoids", "if static and is_portable() and *", FILES),
    Reason("blocks/transformer.py _is_zero", "* -> (never called)", FILES),
    Reason("blocks/embedding.py sin_embedding_of_steps", "* -> (never called)", FILES),
    Reason("blocks/embedding.py _joined", "* -> (never called)", FILES),
    Reason("blocks/blstm.py BLSTM.call", "elif is_portable(): -> y = *", FILES),
    Reason("blocks/blstm.py BLSTM._unknown", "* -> (never called)", FILES),
    Reason("blocks/spectrogram.py Spectrogram._portable_wiener", "* -> (never called)", FILES),
    Reason("blocks/wiener.py portable_wiener", "* -> (never called)", FILES),
    Reason("blocks/wiener.py silence", "* -> (never called)", FILES),
    Reason("blocks/wiener.py _with_rest", "* -> (never called)", FILES),
    Reason("blocks/wiener.py _portable_loudness", "* -> (never called)", FILES),
    Reason("layers/recurrent.py LSTM.layer", "if not is_portable(): -> *", FILES),
    Reason("layers/recurrent.py LSTM.layer", "if has_arrays() or * -> *", FILES),
    Reason("layers/recurrent.py _recur_portably", "* -> (never called)", FILES),
    Reason("layers/recurrent.py _recur_growing", "* -> (never called)", FILES),
    Reason("layers/recurrent.py _advance", "* -> (never called)", FILES),
    Reason("layers/recurrent.py _rows", "* -> (never called)", FILES),
    Reason("layers/norm.py _by_matrix", "* -> (never called)", FILES),
    Reason("layers/shape.py parts", "if not is_portable(): -> width = *", FILES),
    Reason("layers/shape.py told", "* and is_portable(): -> *", FILES),
    Reason("layers/base.py portable", "* -> (never called)", FILES),
    Reason("layers/base.py has_arrays", "* -> (never called)", FILES),
    Reason("models/base.py Model.check", "if not is_portable(): *-> return mix", FILES),
    Reason("models/base.py Model.export", "* -> (never called)", FILES),
    # Any length
    Reason("blocks/blstm.py BLSTM.call", "elif is* -> *", LENGTHS),
    Reason("blocks/embedding.py sin_embedding_2d", "if isinstance(width, int): -> *", LENGTHS),
    Reason("blocks/embedding.py _interleaved", "* -> return reshape(*", LENGTHS),
    Reason("blocks/transformer.py *._sinusoids", "if static: -> *", LENGTHS),
    Reason("blocks/spectrogram.py Spectrogram._wiener", "if known: -> *", LENGTHS),
    Reason("blocks/spectrogram.py Spectrogram._wiener_of_any", "* -> (never called)", LENGTHS),
    Reason(
        "layers/attention.py MultiheadAttention._attend", "if isinstance(length, int): *", LENGTHS
    ),
    Reason("layers/attention.py _by_blocks", "* -> (never called)", LENGTHS),
    Reason("layers/shape.py size", "if not is_joined_here(): -> return *", LENGTHS),
    Reason("layers/norm.py _merged", "if None in middle: -> *", LENGTHS),
    Reason("layers/norm.py _even_rows", "if None in rest: -> *", LENGTHS),
    # Joined layers
    Reason("blocks/dconv.py DConv.call", "if is_joined() and * -> *", JOINED),
    Reason("blocks/dconv.py _is_foldable", "* -> (never called)", JOINED),
    Reason("blocks/dconv.py _at_once", "* -> (never called)", JOINED),
    Reason("blocks/blstm.py BLSTM._framed_late", "* -> (never called)", JOINED),
    Reason("blocks/blstm.py _measures", "* -> (never called)", JOINED),
    Reason("layers/conv.py Conv2d.part", "if activation and * -> *", JOINED),
    Reason("layers/conv.py _by_blocks", "if len(x.shape) == 4: -> *", JOINED),
    Reason("layers/norm.py fold", "* -> (never called)", JOINED),
    Reason("layers/norm.py _by_column", "* -> (never called)", JOINED),
    Reason("layers/norm.py _gram", "* -> (never called)", JOINED),
    Reason("layers/conv.py Conv1d._to_few", "* -> def convolve(*", JOINED),
    Reason("layers/conv.py Conv1d._to_few.convolve", "* -> (never called)", JOINED),
    Reason("layers/conv.py _by_shared_blocks", "if isinstance(count, int): *", JOINED),
    Reason("layers/conv.py _Transposed._phases", "* and is_joined()): -> if multiplies:", JOINED),
    Reason("layers/recurrent.py LSTM.go_on_backwards", "* -> (never called)", JOINED),
    Reason("layers/recurrent.py _recur", "if not start: -> parts = *", JOINED),
    # The way back
    Reason("*.gradient", "* -> (never called)", BACKWARD),
    Reason("layers/linear.py _over_*", "* -> (never called)", BACKWARD),
    Reason("layers/conv.py _convolve_by_taps", "* -> (never called)", BACKWARD),
    Reason("layers/conv.py _convolve.by_taps", "* -> (never called)", BACKWARD),
    Reason("layers/recurrent.py _over_rows", "* -> (never called)", BACKWARD),
    Reason("layers/base.py with_gradient", "* _may_be_recorded(): -> @*", BACKWARD),
    Reason("layers/base.py with_gradient.call", "* -> (never called)", BACKWARD),
    # Training
    Reason("blocks/embedding.py augmented", "* -> (never called)", TRAINING),
    Reason("blocks/transformer.py *", "* and training and * -> *", TRAINING),
    Reason("layers/attention.py MultiheadAttention.call", "if training and * -> *", TRAINING),
    # Making models
    Reason("blocks/embedding.py ScaledEmbedding.__init__", "if smooth: -> *", MADE),
    Reason("blocks/local_state.py LocalState.__init__", "if not weights_are_blank():*", MADE),
    Reason("layers/base.py Budget.charge", "* -> (never called)", MADE),
    Reason("layers/base.py Layer.build", "* -> (never called)", MADE),
    Reason("layers/base.py Layer.variable", "if budget is not None: -> *", MADE),
    Reason("layers/base.py limited", "* -> (never called)", MADE),
    Reason("models/base.py Model.build*", "* -> (never called)", MADE),
    Reason("models/base.py Model.segment", "* -> (never called)", MADE),
    Reason("models/base.py _Signature.__get__", "* -> (never called)", MADE),
    Reason("models/config.py Config.by_name", "* -> (never called)", MADE),
    Reason("models/config.py Config.from_dict", "if isinstance(segment, str): -> *", MADE),
    Reason("models/config.py _as_json", "if isinstance(value, Fraction): -> *", MADE),
    Reason("models/presets.py build", "* -> (never called)", MADE),
    Reason("models/ranges.py checked", "* -> value = value.item()*", MADE),
    # Members of a bag
    Reason("models/bag.py BagOfModels.__call__", "* -> (never called)", BAGS),
    Reason("models/bag.py BagOfModels._override_segment", "* -> (never called)", BAGS),
    Reason("models/bag.py BagOfModels.max_allowed_segment", "* -> (never called)", BAGS),
    Reason("models/bag.py BagOfModels.__init__", "if segment is not None: -> *", BAGS),
    Reason("models/bag.py BagOfModels.__init__", "if weights is None: -> *", BAGS),
    # What is there for others
    Reason("layers/base.py Caller.*", "* -> (never called)", OPEN),
    Reason("layers/base.py Observer.*", "* -> (never called)", OPEN),
    Reason("models/config.py Config._check", "* -> (never called)", OPEN),
    Reason("models/hybrid.py HybridModel._bottleneck", "* -> (never called)", OPEN),
    # Without layers
    Reason("models/config.py Config.valid_length", "* -> (never called)", BARE),
    Reason("models/config.py HTDemucsConfig.draw_shift", "* -> (never called)", BARE),
    # Another precision
    Reason("layers/linear.py as_type", "*", BFLOAT),
    # Full size
    Reason("layers/conv.py _in_parts", "* -> ends = *", LONG),
    Reason("layers/norm.py _mean_of_rows", "if rows.shape* > 1: -> count = *", LONG),
    # One row each
    Reason(
        "layers/activation.py _gelu_by_tanh",
        "* -> (never called)",
        "The reference's models have the exact one; tests/layers holds it to its formula.",
    ),
    Reason(
        "layers/base.py _may_be_recorded",
        "* -> (never called)",
        "For a TensorFlow that no longer says whether a gradient is taken.",
    ),
    Reason(
        "layers/resample.py sinc_bands",
        "* -> (never called)",
        "Files of other rates, in demucs_tf/audio; cases begin with samples. tests/audio.",
    ),
    Reason(
        "models/config.py HTDemucsConfig.valid_length",
        "if not self.use_train_segment: -> return length",
        "Asked for by `apply_model`, whose stored cases use the length of training; tests/models.",
    ),
)
