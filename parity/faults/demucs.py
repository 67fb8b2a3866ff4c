"""Known porting faults, one row each: what is broken, the case that has to see it, and where.

Each has been made in some port of Demucs, or is one slip away from this one. A fault replaces an
attribute of the port's code while its case runs; `place` is matched against the first divergence,
"path Class".
"""

from __future__ import annotations

import tensorflow as tf

from demucs_tf.blocks import dconv
from demucs_tf.layers import activation, attention, conv, norm, recurrent, resample
from demucs_tf.models import demucs
from parity.faults import hdemucs, htdemucs, whole_track, wrong
from parity.faults.fault import Fault

# Small cases, each with what its faults need.
_PLAIN, _BRANCHES = "demucs-dconv0", "demucs-no-dilation"
_DILATED, _NORMS = "demucs-deep-branches", "demucs-norm"
_LSTM, _FRAMED, _ATTENTION = "demucs-lstm", "demucs-lstm-framed-edge", "demucs-attention"

TIME_DOMAIN: tuple[Fault, ...] = (
    Fault(
        "groupnorm-keras-epsilon",
        _BRANCHES,
        " GroupNorm$",
        norm.GroupNorm,
        "call",
        wrong.with_attributes(norm.GroupNorm.call, epsilon=1e-3),
    ),
    Fault(
        "groupnorm-epsilon-outside-root",
        _BRANCHES,
        " GroupNorm$",
        norm.GroupNorm,
        "call",
        wrong.groupnorm(root=lambda v, e: tf.sqrt(v) + e),
    ),
    Fault(
        "groupnorm-unbiased-variance",
        _BRANCHES,
        " GroupNorm$",
        norm.GroupNorm,
        "call",
        wrong.groupnorm(variance=lambda v, n: v * n / (n - 1)),
    ),
    Fault(
        "groupnorm-one-group",
        _NORMS,
        r"encoder\.0\.1 GroupNorm$",
        norm.GroupNorm,
        "call",
        wrong.with_attributes(norm.GroupNorm.call, num_groups=1),
    ),
    Fault(
        "gelu-tanh",
        _PLAIN,
        r"encoder\.0\.2 GELU$",
        activation.GELU,
        "call",
        wrong.with_attributes(activation.GELU.call, approximate=True),
    ),
    Fault(
        "gelu-float32-constant",
        _PLAIN,
        r"encoder\.0\.2 GELU$",
        activation.GELU,
        "call",
        wrong.gelu_float32_constant,
    ),
    Fault("glu-halves-swapped", _PLAIN, " GLU$", activation.GLU, "call", wrong.glu_swapped),
    Fault("conv-bias-dropped", _PLAIN, " Conv1d$", conv.Conv1d, "call", wrong.conv_without_bias),
    Fault(
        "conv-causal-padding",
        _PLAIN,
        r"decoder\.0\.0 Conv1d$",
        conv.Conv1d,
        "call",
        wrong.conv_causal,
    ),
    Fault(
        "conv-dilation-ignored",
        _DILATED,
        r"layers\.1\.0 Conv1d$",
        conv.Conv1d,
        "call",
        wrong.conv_undilated,
    ),
    Fault(
        "transposed-kernel-unflipped",
        _PLAIN,
        " ConvTranspose1d$",
        conv.ConvTranspose1d,
        "call",
        wrong.transposed_unflipped,
    ),
    Fault(
        "layerscale-dropped",
        _BRANCHES,
        " LayerScale$",
        norm.LayerScale,
        "call",
        lambda self, x: x,
    ),
    Fault(
        "branch-residual-dropped",
        _BRANCHES,
        r"encoder\.0\.3:skip DConv$",
        dconv.DConv,
        "step",
        wrong.step_without("skip"),
    ),
    Fault(
        "lstm-gates-swapped", _LSTM, " LSTM$", recurrent, "_recur", wrong.recur_gates((1, 0, 2, 3))
    ),
    Fault("lstm-gates-icfo", _LSTM, " LSTM$", recurrent, "_recur", wrong.recur_gates((0, 2, 1, 3))),
    Fault(
        "lstm-hard-sigmoid",
        _LSTM,
        " LSTM$",
        recurrent,
        "_sigmoid",
        lambda x: tf.clip_by_value(x / 6 + 0.5, 0, 1),
    ),
    Fault("lstm-forget-bias-one", _LSTM, " LSTM$", recurrent, "_recur", wrong.recur_forget_bias),
    Fault("lstm-backward-not-reversed", _LSTM, " LSTM$", recurrent, "_recur", wrong.recur_one_way),
    Fault(
        "lstm-double-bias",
        _LSTM,
        " LSTM$",
        recurrent.LSTM,
        "_bidirectional",
        wrong.lstm_double_bias,
    ),
    Fault(
        "blstm-skip-dropped",
        _LSTM,
        ":skip BLSTM$",
        recurrent.BLSTM,
        "step",
        wrong.step_without("skip"),
    ),
    Fault(
        "blstm-unframed",
        _FRAMED,
        r"3\.layers\.0\.3:frame BLSTM$",
        recurrent.BLSTM,
        "_framed",
        wrong.blstm_never_framed,
    ),
    Fault(
        "blstm-overlap-add",
        _FRAMED,
        ":unframe BLSTM$",
        recurrent,
        "unframe",
        wrong.unframe_overlap_add,
    ),
    Fault(
        "attention-unscaled",
        _ATTENTION,
        ":scores LocalState$",
        attention.LocalState,
        "_scores",
        wrong.scores_unscaled,
    ),
    Fault(
        "attention-softmax-over-queries",
        _ATTENTION,
        ":weights LocalState$",
        attention.LocalState,
        "step",
        wrong.attention_softmax,
    ),
    Fault(
        "attention-own-key-not-masked",
        _ATTENTION,
        ":penalty LocalState$",
        attention.LocalState,
        "_penalise",
        wrong.penalty(own=0),
    ),
    Fault(
        "attention-own-key-masked-with-infinity",
        _ATTENTION,
        ":penalty LocalState$",
        attention.LocalState,
        "_penalise",
        wrong.penalty(own=-1e9),
    ),
    Fault(
        "attention-decay-without-root",
        _ATTENTION,
        ":penalty LocalState$",
        attention.LocalState,
        "_penalise",
        wrong.penalty(square_root=False),
    ),
    Fault(
        "attention-decay-not-halved",
        _ATTENTION,
        ":penalty LocalState$",
        attention.LocalState,
        "_penalise",
        wrong.penalty(half=1.0),
    ),
    Fault(
        "attention-residual-dropped",
        _ATTENTION,
        ":skip LocalState$",
        attention.LocalState,
        "step",
        wrong.step_without("skip"),
    ),
    Fault("std-biased", _PLAIN, "^:std Demucs$", demucs, "unbiased_std", wrong.std_biased),
    Fault(
        "normalize-epsilon-inside-root",
        _PLAIN,
        "^:normalize Demucs$",
        demucs.DemucsTF,
        "step",
        wrong.normalize_inside_root,
    ),
    Fault(
        "denormalize-left-out",
        _PLAIN,
        "^:denormalize Demucs$",
        demucs.DemucsTF,
        "step",
        wrong.step_without("denormalize"),
    ),
    Fault(
        "mono-first-channel",
        _PLAIN,
        "^:mono Demucs$",
        demucs.DemucsTF,
        "step",
        wrong.mono_first_channel,
    ),
    Fault("pad-on-the-right", _PLAIN, "^:pad Demucs$", demucs, "pad_axis", wrong.pad_right),
    Fault(
        "trim-off-by-one",
        _PLAIN,
        "^:trim Demucs$",
        demucs,
        "center_trim",
        wrong.trim_from_the_right,
    ),
    Fault("trim-at-the-end", _PLAIN, "^:trim Demucs$", demucs, "center_trim", wrong.trim_end),
    Fault(
        "skip-dropped",
        _PLAIN,
        "^:skip Demucs$",
        demucs.DemucsTF,
        "step",
        wrong.step_without("skip"),
    ),
    Fault(
        "resample-linear",
        _PLAIN,
        "^:upsample Demucs$",
        demucs,
        "resample_frac",
        wrong.resample_linear,
    ),
    Fault(
        "resample-zero-edges",
        "demucs-no-glu",
        "^:upsample Demucs$",
        demucs,
        "resample_frac",
        wrong.resample_zero_edges,
    ),
    Fault(
        "resample-other-window",
        _PLAIN,
        "^:upsample Demucs$",
        resample,
        "sinc_kernel",
        wrong.kernel_symmetric_window,
    ),
    Fault(
        "resample-kernel-correctly-rounded",
        _PLAIN,
        "^:upsample Demucs$",
        resample,
        "sinc_kernel",
        wrong.kernel_correctly_rounded,
    ),
    Fault(
        "sources-and-channels-swapped",
        _PLAIN,
        "^:split Demucs$",
        demucs.DemucsTF,
        "_split",
        wrong.split_swapped,
    ),
)

FAULTS: tuple[Fault, ...] = (
    *TIME_DOMAIN,
    *hdemucs.FAULTS,
    *htdemucs.FAULTS,
    *whole_track.FAULTS,
)
