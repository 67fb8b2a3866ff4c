"""The configurations of the published models, as far as they are public.

A checkpoint brings its own arguments, so nothing here is needed to load one. This is for models
without a checkpoint: tests, benchmarks, training from scratch.

Sources are files of https://github.com/facebookresearch/demucs: `outputs.tar.gz` has the options
that each member of `mdx` and `mdx_extra` was trained with, by signature; the grids have those of
the others; `conf/config.yaml` what all start from. All have 44,100 Hz, two channels and, where the
row does not say otherwise, four stems.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from demucs_tf.models.config import DemucsConfig, HDemucsConfig, HTDemucsConfig

if TYPE_CHECKING:
    from demucs_tf.models.base import Model

SOURCES = ("drums", "bass", "other", "vocals")


@dataclass(frozen=True)
class Preset:
    """One configuration: a class of the reference, and what differs from its defaults."""

    klass: str
    arguments: dict[str, Any]
    members: tuple[str, ...]  # signatures of published models that have it
    sources: tuple[str, ...] = field(default=SOURCES)


_TIME, _HYBRID = DemucsConfig.reference, HDemucsConfig.reference
_TRANSFORMER = HTDemucsConfig.reference

# The first ones train on 7.8 s: 10 s, less what changes of tempo and shifts may cost.
_HT = {"dconv_mode": 3, "t_layers": 5, "t_dropout": 0.02, "segment": Fraction(39, 5)}
# The yaml files of the bags set 44 s, whatever `segment` is in the checkpoints.
_HYBRID_V3 = {"dconv_init": 1e-3, "segment": 44}

PRESETS: dict[str, Preset] = {
    # grids/mmi.py with bottom_channels 512; its fine-tuned four are grids/mmi_ft.py.
    "htdemucs": Preset(
        _TRANSFORMER,
        {**_HT, "bottom_channels": 512},
        ("955717e8", "f7e0c4bc", "d12395a8", "92cfc3b6", "04573f0d"),
    ),
    # In no grid. Assumed: grids/mmi.py with bottom_channels 0, the one of its configurations whose
    # weights (27.4 million in half precision, 52.3 MiB) make up a file of 52.4 MB.
    "htdemucs_6s": Preset(_TRANSFORMER, _HT, ("5c90dfd2",), (*SOURCES, "guitar", "piano")),
    # grids/mmi.py with model=hdemucs: the defaults of conf/config.yaml.
    "hdemucs_mmi": Preset(_HYBRID, _HYBRID_V3, ("75fc33f5",)),
    # outputs.tar.gz: 9357e12e and e312f349, which were fine-tuned; "64ch time domain only".
    "mdx_time": Preset(_TIME, {"rewrite": False, "segment": 44}, ("0d19c1c6", "7ecf8ec1")),
    # outputs.tar.gz: 81de367c, fine-tuned. Amplitudes, with the Wiener filter's zeroth step.
    "mdx_mask": Preset(
        _HYBRID,
        {**_HYBRID_V3, "cac": False, "hybrid_old": True, "norm_starts": 999},
        ("c511e2ab",),
    ),
    # outputs.tar.gz: 80a68df8, fine-tuned. Weights of their own for three bands of frequencies.
    "mdx_multi": Preset(
        _HYBRID,
        {**_HYBRID_V3, "norm_starts": 999, "multi_freqs": [0.1, 0.3], "multi_freqs_depth": 2},
        ("7d865c68",),
    ),
    # outputs.tar.gz: cac=True wins over the cac=False in front of it. Equal to hdemucs_mmi.
    "mdx_extra_cac": Preset(_HYBRID, _HYBRID_V3, ("e51eebcc", "cfa93e08")),
    # outputs.tar.gz: the last cac=False wins.
    "mdx_extra_mask": Preset(_HYBRID, {**_HYBRID_V3, "cac": False}, ("5d2d6c55",)),
    # outputs.tar.gz: the same with the old padding.
    "mdx_extra_mask_old": Preset(
        _HYBRID, {**_HYBRID_V3, "cac": False, "hybrid_old": True}, ("a1d90b5c",)
    ),
    # grids/repro.py ("newt") with grids/repro_ft.py.
    "repro_mdx_a_time": Preset(_TIME, {"segment": 44}, ("9a6b4851", "1ef250f1")),
    # grids/repro.py ("hdem") with grids/repro_ft.py.
    "repro_mdx_a_hybrid": Preset(_HYBRID, _HYBRID_V3, ("fa0cb7f9", "902315c2")),
    # grids/repro.py ("base"): "the v2 Demucs". The checkpoints of v2 itself are not packages.
    "demucs_v2": Preset(
        _TIME, {"dconv_mode": 0, "gelu": False, "lstm_layers": 2, "normalize": False}, ()
    ),
}


def build(name: str, dtype: str = "float32", **changes: Any) -> Model:
    """Make an untrained model of a published configuration.

    Args:
        name: a key of `PRESETS`.
        dtype: "float32" or "float64".
        changes: constructor arguments to have otherwise.

    Raises:
        ValueError: no such preset.
    """
    from demucs_tf.models.ports import PORTS

    if name not in PRESETS:
        raise ValueError(f"There is no preset {name!r}; there are {', '.join(PRESETS)}.")
    preset = PRESETS[name]
    arguments = {"sources": list(preset.sources), **preset.arguments, **changes}
    return PORTS[preset.klass](**arguments, dtype=dtype)
