"""Known faults around the layers: chunks, overlap, shifts, level, loading."""

from __future__ import annotations

from demucs_tf.checkpoints import weights
from demucs_tf.inference import chunks, separator, single
from demucs_tf.models import bag, htdemucs, ports
from parity.faults import wrong_whole_track
from parity.faults.fault import Fault

_APPLY, _TRACK = "^ apply_model$", "^ Separator$"

FAULTS: tuple[Fault, ...] = (
    Fault(
        "chunks-padded-with-zeros",
        "apply-htdemucs",
        _APPLY,
        chunks.TensorChunk,
        "padded",
        wrong_whole_track.chunk_padded_with_zeros,
    ),
    Fault(
        "overlap-not-weighted",
        "apply-hdemucs",
        _APPLY,
        single,
        "transition_weight",
        wrong_whole_track.weight_of_ones,
    ),
    Fault(
        "overlap-weight-from-zero",
        "apply-hdemucs",
        _APPLY,
        single,
        "transition_weight",
        wrong_whole_track.weight_from_zero,
    ),
    Fault(
        "position-shift-not-drawn",
        "apply-htdemucs",
        _APPLY,
        htdemucs.HTDemucsTF,
        "draw_shift",
        wrong_whole_track.shift_not_drawn,
    ),
    Fault(
        "segment-rule-ignored",
        "apply-htdemucs-segment",
        _APPLY,
        single.Job,
        "_valid_length",
        wrong_whole_track.own_length,
    ),
    Fault(
        "bag-table-shifted",
        "apply-demucs-bag",
        _APPLY,
        bag,
        "_table",
        wrong_whole_track.shifted_table,
    ),
    Fault(
        "bag-weights-ignored",
        "apply-htdemucs-bag",
        _APPLY,
        bag,
        "_table",
        wrong_whole_track.table_of_ones,
    ),
    Fault(
        "bag-members-see-one-shift",
        "apply-demucs-bag",
        _APPLY,
        single.Job,
        "_draw_offset",
        wrong_whole_track.offset_of_the_first,
    ),
    Fault(
        "track-level-left",
        "apply-track",
        _TRACK,
        separator,
        "_track_statistics",
        wrong_whole_track.untouched_level,
    ),
    Fault(
        "track-level-biased",
        "apply-track",
        _TRACK,
        separator,
        "_track_statistics",
        wrong_whole_track.biased_level,
    ),
    Fault(
        "track-level-of-all-channels",
        "apply-track",
        _TRACK,
        separator,
        "_track_statistics",
        wrong_whole_track.level_of_all_channels,
    ),
    Fault(
        "loader-leaves-initial-weights",
        "demucs-norm-one-group",
        r"^decoder\.1\.\d ",
        weights,
        "load_state",
        wrong_whole_track.last_weights_left,
    ),
    Fault(
        "loader-ignores-an-argument",
        "demucs-norm-one-group",
        " GroupNorm$",
        ports,
        "PORTS",
        wrong_whole_track.ports_without_an_argument,
    ),
)
