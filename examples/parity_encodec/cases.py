"""The cases: small widths, and lengths that the strides do and do not divide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from examples.parity_encodec.port import Encodec
from examples.parity_encodec.subject import SUBJECT, variables
from parity.core.seeding import seed_module, seeded_state
from parity.core.suite import Case, Suite

# The codebooks are not compared, so they are as small as they may be.
SMALL = {"num_filters": 4, "hidden_size": 5, "upsampling_ratios": [3, 2], "codebook_size": 2}


def _case(name: str, shape: tuple[int, int, int], note: str, **config: Any) -> Case:
    return Case(name, "EncodecModel", {**SMALL, **config}, (shape,), stored="live", note=note)


CASES = (
    _case("causal", (2, 1, 60), "the published model at 24 kHz"),
    _case(
        "stereo",
        (2, 2, 61),
        "the published model at 48 kHz, and an incomplete frame",
        audio_channels=2,
        norm_type="time_group_norm",
        use_causal_conv=False,
    ),
    _case("odd", (1, 1, 59), "weight norm with padding on both sides", use_causal_conv=False),
    _case("short", (3, 1, 5), "shorter than its padding", upsampling_ratios=[2]),
    _case(
        "deep",
        (1, 1, 49),
        "dilations, shortcuts without a convolution, trimmed on both sides",
        num_residual_layers=3,
        use_conv_shortcut=False,
        trim_right_ratio=0.5,
        num_lstm_layers=1,
    ),
)
BY_NAME = {case.name: case for case in CASES}


def make_reference(case: Case) -> Any:
    """Encoder and decoder one after the other, without the codebooks, with seeded weights."""
    import torch
    from transformers import EncodecConfig, EncodecModel

    model = EncodecModel(EncodecConfig(**case.config)).eval()
    module = torch.nn.Sequential()
    module.add_module("encoder", model.encoder)
    module.add_module("decoder", model.decoder)
    seed_module(module, case.seed)
    return module


def make_port(case: Case, dtype: str) -> Encodec:
    """The port with the same weights."""
    from transformers import EncodecConfig

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        port = Encodec(EncodecConfig(**case.config))
    finally:
        keras.config.set_dtype_policy(before)
    places = variables(port)
    shapes = ((key, tuple(reversed(place.shape))) for key, place in places.items())
    for key, array in seeded_state(shapes, case.seed).items():
        places[key].assign(array.T)
    return port


SUITE = Suite(
    SUBJECT,
    reference=make_reference,
    port=make_port,
    inputs=lambda case: tuple(map(np.random.RandomState(case.seed).standard_normal, case.shapes)),
    goldens=lambda case: Path("golden"),  # none is kept: the reference runs each time
    command="python -m examples.parity_encodec",
)
