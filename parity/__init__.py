"""The differential harness: proves the port equal to the PyTorch reference, layer by layer.

`check` compares a live module with its port; `python -m parity` and `pytest parity/` run the
cases of `parity.cases` against stored goldens or, with `--live`, against the reference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from parity.core.result import ParityError, Record, Result

if TYPE_CHECKING:
    from parity.core.checking import Attribute, Modes
    from parity.core.subject import Subject
    from parity.laws import Relation

__all__ = ["ParityError", "Record", "Result", "check", "relations"]


def check(
    reference_module: Any,
    port_model: Any,
    mix: Any,
    dtype: str = "float32",
    mode: Modes = "both",
    subject: Subject | None = None,
    attribution: Attribute = "failure",
    backward: bool = False,
) -> Result:
    """Compare a port with a live module of the reference, tensor by tensor.

    Args:
        reference_module: a module of demucs 4.1.0. It is copied, not changed.
        port_model: a port of it whose dtype is `dtype`, as `demucs_tf.from_torch` makes it.
        mix: a NumPy array (B, A, T), rounded to float32 before either side hears it. For another
            subject, an array of any shape, also of whole numbers, or a tuple of several.
        dtype: "float32" or "float64".
        mode: "isolated" feeds each layer with the reference's own input, "cumulative" is the real
            pass, "both" does both.
        subject: what is known of another reference and port; None for Demucs.
        attribution: when the final error is shared out among the layers ("never", "failure",
            "always"), which takes up to 96 passes of the port.
        backward: compare gradients, of every call and of the whole model, instead of outputs.

    Raises:
        ParityError: `port_model` has another dtype, or a step with other inputs than that of the
            reference.
    """
    from parity.core import checking
    from parity.demucs import SUBJECT

    subject = subject or SUBJECT
    if backward:
        from parity.core.backward import checking as backwards

        return backwards.check(subject, reference_module, port_model, mix, dtype, mode)
    return checking.check(subject, reference_module, port_model, mix, dtype, mode, attribution)


def relations(model: Any, wide: Any = None, **options: Any) -> tuple[Relation, ...]:
    """Hold a model to what must be true of it without a reference; see `parity.laws.relations`.

    Args:
        model: a model of demucs_tf, or any Keras model (B, A, T) -> (B, S, A, T) that has
            `audio_channels` and `samplerate`.
        wide: for the latter, the same model in the other one of float32 and float64.
        options: `only`, `seconds`, `dtypes` and `seed`.

    Raises:
        ParityError: a wrong option, or a model of which no second one can be made.
    """
    from parity import laws

    return laws.relations(model, wide, **options)
