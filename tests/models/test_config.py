"""Configurations: the reference's arguments, what each may be, and what is seen of them."""

from __future__ import annotations

import importlib
import inspect
import pydoc
import subprocess
import sys
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from demucs_tf.models.config import CONFIGS, DemucsConfig, HDemucsConfig, HTDemucsConfig
from demucs_tf.models.ports import PORTS
from demucs_tf.models.presets import PRESETS
from parity.cases import CASES


def test_no_framework_is_imported_for_a_configuration() -> None:
    code = "import sys, demucs_tf.models.config; print({'tensorflow', 'numpy'} & {*sys.modules})"
    out = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE).stdout
    assert out == b"set()\n"


@pytest.mark.live
@pytest.mark.parametrize("name", CONFIGS)
def test_arguments_and_defaults_are_the_references(name: str) -> None:
    module, _, klass = name.rpartition(".")
    theirs = inspect.signature(getattr(importlib.import_module(module), klass)).parameters
    config = CONFIGS[name]
    assert config.names() == [key for key, p in theirs.items() if p.kind is not p.VAR_KEYWORD]
    defaults = config.defaults()
    for key in config.names()[1:]:
        default = theirs[key].default
        assert defaults[key] == (tuple(default) if isinstance(default, list) else default), key


@pytest.mark.parametrize("port", dict.fromkeys(PORTS.values()), ids=lambda port: port.__name__)
def test_a_port_shows_its_arguments(port: Any) -> None:
    shown = inspect.signature(port).parameters
    assert list(shown) == [*port.config_class.names(ours=True), "dtype", "kwargs"]
    assert shown["audio_channels"].default == 2
    assert shown["dtype"].kind is inspect.Parameter.KEYWORD_ONLY
    assert "sources: 'Sequence[str]', audio_channels: 'int' = 2" in pydoc.render_doc(port)
    small: dict[str, Any] = {"channels": 8, "depth": 2, "kernel_size": 4, "stride": 2}
    if "nfft" in shown:
        small |= {"nfft": 16, "dconv_mode": 0}
    model = port(["a"], 1, **small)
    assert model.audio_channels == 1
    assert "mix" in inspect.signature(model.call).parameters
    assert "audio_channels" not in str(inspect.signature(model))  # it is called with a mixture


def test_every_published_model_and_every_case_is_in_range() -> None:
    for preset in PRESETS.values():
        config: Any = CONFIGS[preset.klass]
        config(preset.sources, **preset.arguments)
    for case in CASES:
        CONFIGS[case.reference](**case.config, **case.port)


def test_there_and_back() -> None:
    config = HTDemucsConfig(
        ["a", "b"], channels=np.int64(4), growth=np.float32(1.5), segment=Fraction(39, 5)
    )
    assert (type(config.channels), type(config.growth)) == (int, float)
    plain = config.to_dict()
    assert plain["segment"] == "39/5"
    assert plain["sources"] == ["a", "b"]
    assert HTDemucsConfig.from_dict(plain) == config
    assert {config: 1}[HTDemucsConfig.from_dict(plain)] == 1


def test_arguments_in_order_and_by_name() -> None:
    assert DemucsConfig.by_name((["a"], 1), {"depth": 2}) == {
        "sources": ["a"],
        "audio_channels": 1,
        "depth": 2,
    }
    with pytest.raises(TypeError, match="multiple values for argument 'sources'"):
        DemucsConfig.by_name((["a"],), {"sources": ["b"]})
    with pytest.raises(TypeError, match="too many positional arguments"):
        DemucsConfig.by_name(range(90), {})


# What no sane model has: the argument, values that are refused, what is said besides its name.
REFUSED: list[tuple[str, list[Any], str]] = [
    ("wiener_iters", [300, 10**9], "at most 16, got"),
    ("stride", [300, 10**9], "at most 64, got"),
    ("time_stride", [65, 2**30], "at most 64, got"),
    ("t_sin_random_shift", [2**40], "at most 1000000, got"),
    ("t_sin_random_shift", [-1, 1.5], "a whole number of at least 0, got"),
    ("nfft", [2**20], "at most 65536, got"),
    ("depth", [17, 2**31], "at most 16, got"),
    ("depth", [0, True, "4"], "a whole number of at least 1, got"),
    ("samplerate", [2**21], "at most 1048576, got"),
    ("kernel_size", [257], "at most 256, got"),
    ("context", [33], "at most 32, got"),
    ("growth", [17, 1e300], "from 0 to 16, got"),
    ("growth", [0, -1, float("inf")], "a positive number, got"),
    ("t_layers", [65], "at most 64, got"),
    ("t_heads", [0], "a whole number of at least 1, got"),
    ("t_heads", [257], "at most 256, got"),
    ("t_hidden_scale", [65], "from 0 to 64, got"),
    ("t_dropout", [1.5, -0.5], "from 0 to 1, got"),
    ("t_dropout", ["0.1"], "a finite number, got"),
    ("t_max_period", [0, "x"], "a positive number, got"),
    ("t_max_positions", ["many"], "a whole number of at least 1, got"),
    ("t_weight_pos_embed", [float("inf")], "a finite number, got"),
    ("dconv_depth", [11, 2**40], "at most 10, got"),
    ("dconv_depth", [-11], "a whole number of at least -10, got"),
    ("dconv_mode", [4], "at most 3, got"),
    ("dconv_init", [float("nan")], "a finite number, got"),
    ("freq_emb", ["x"], "a finite number, got"),
    ("emb_scale", [[]], "a finite number, got"),
    ("cac", ["yes", 2, None], "True or False, got"),
    ("stft", ["fftw"], "one of"),
    ("t_emb", ["learnt", ["sin"]], "one of"),
    ("t_mask_type", [3], "text, got"),
    ("t_cape_glob_loc_scale", [["a"], 3], "a list of numbers, got"),
    ("t_cape_glob_loc_scale", [[float("nan")], [2**2040]], "a list of numbers, got"),
    ("t_weight_decay", [2**2040, -1e300], "from -1e[+]09 to 1e[+]09, got"),
    ("t_sparsity", [1e10], "from -1e[+]09 to 1e[+]09, got"),
    ("emb_scale", [Fraction(1, 3)], "a finite number, got"),  # no tensor can be multiplied by it
    ("segment", [0, float("nan"), "8", True, None], "a positive number, got"),
    ("sources", ["drums", [1], 3, None], "a list of names, got"),
    (
        "sources",
        [["a/b"], ["a\\b"], ["c:a"], [".."], [".a"], [""], ["a" * 101]],
        "names of stems, got",
    ),
    ("sources", [["a", "a"], ["voix", "VOIX"], ["é", "e\u0301"]], "different names, got"),
    ("multi_freqs", [[0.5, 1.5], [0], 0.5], "shares below 1, got"),
]


@pytest.mark.parametrize(("name", "values", "match"), REFUSED, ids=lambda value: str(value)[:30])
def test_what_no_sane_model_has_is_refused_by_name(
    name: str, values: list[Any], match: str
) -> None:
    for value in values:
        with pytest.raises(ValueError, match=f"{name} must be {match}"):
            HTDemucsConfig(**{"sources": ["a", "b"], name: value})


TOGETHER: list[tuple[Any, dict[str, Any], str]] = [
    (DemucsConfig, {"segment": 3600}, "3600 s at 44100 Hz is more than can be worked on: at most"),
    (DemucsConfig, {"segment": 200, "samplerate": 2**20}, "more than can be worked on"),
    (DemucsConfig, {"sources": []}, "at least one stem, and at most 100, got none"),
    (DemucsConfig, {"sources": [f"{n}" for n in range(101)]}, "at most 100, got 101"),
    (DemucsConfig, {"stride": 16}, "takes .* samples at once, wanted at most 262144"),
    (HDemucsConfig, {"nfft": 30}, "nfft must be a multiple of 4, got 30"),
    (HDemucsConfig, {"hybrid": False, "hybrid_old": True}, "it needs hybrid=True"),
    (HDemucsConfig, {"wiener_iters": 1}, "wiener_iters equal to end_iters, got 1 and 0"),
    (
        HDemucsConfig,
        {"cac": False, "wiener_iters": 1, "end_iters": 1, "audio_channels": 3},
        "one or two audio channels, got 3",
    ),
]


@pytest.mark.parametrize(("config", "changes", "match"), TOGETHER)
def test_what_does_not_belong_together(config: Any, changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        config(**{"sources": ["a"], **changes})


def test_layers_behind_the_merge_that_take_too_many_samples() -> None:
    with pytest.raises(ValueError, match="takes 268435456 samples at once"):
        PORTS["demucs.hdemucs.HDemucs"](["a"], depth=8, time_stride=64)
