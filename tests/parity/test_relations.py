"""Relations without a reference: sound models hold them, and one broken on purpose fails each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import demucs_tf
import parity
from demucs_tf.checkpoints.weights import load_state, read_state
from demucs_tf.inference import single
from parity.__main__ import main
from parity.core.result import ParityError
from parity.core.seeding import seeded_state
from parity.laws import LAWS, Relation
from tests.support.tiny_models import ARGUMENTS, TRANSFORMER, tiny_bytes

TWO = ["bass", "vocals"]
_HYBRID = {"channels": 4, "depth": 1, "nfft": 8, "kernel_size": 4, "stride": 2, "dconv_mode": 0}
HYBRID = {**_HYBRID, "segment": 0.1, "cac": False}
NAMES = dict.fromkeys(LAWS)


def _made(cls: Any, **arguments: Any) -> Any:
    """A tiny model with weights of order 1."""
    model = cls(TWO, **arguments)
    load_state(model, seeded_state(((k, a.shape) for k, a in read_state(model).items()), 0))
    return model


def _one(name: str, model: Any, dtype: str = "float64", **options: Any) -> Relation:
    [found] = parity.relations(model, only=[name], dtypes=[dtype], seconds=0.05, **options)
    return found


def test_a_sound_model_holds_all_in_both_precisions() -> None:
    found = parity.relations(_made(demucs_tf.DemucsTF, **ARGUMENTS), seconds=0.05)
    assert [r.name for r in found] == [name for name in LAWS for _ in range(2)]
    assert [r for r in found if r.verdict != "pass"] == []
    for relation in found:
        assert relation.error is not None
        assert relation.bound is not None
        assert relation.error <= relation.bound < 1e-3


def test_sound_hybrids_hold_what_they_promise() -> None:
    found = parity.relations(_made(demucs_tf.HDemucsTF, **HYBRID), dtypes=["float64"], seconds=0.05)
    assert [r for r in found if r.verdict != "pass"] == []
    drawn = _made(demucs_tf.HTDemucsTF, **{**TRANSFORMER, "segment": 0.1, "t_sin_random_shift": 9})
    only = ["alone", "channels", "chunks", "graph"]
    found = parity.relations(drawn, only=only, dtypes=["float32"], seconds=0.05)
    assert [r.verdict for r in found] == ["pass", "pass", "not decided", "pass"]
    assert found[2].sentence == "the model draws its positions at random in each pass"


class InPlace(demucs_tf.DemucsTF):
    """The second item of a batch is louder."""

    def call(self, mix: Any) -> Any:
        out = super().call(mix)
        places = tf.cast(tf.range(tf.shape(out)[0]), out.dtype)
        return out * (1 + 1e-6 * places[:, None, None, None])


class Together(demucs_tf.DemucsTF):
    """Items are levelled by the batch's mean."""

    def call(self, mix: Any) -> Any:
        out = super().call(mix)
        return out - 1e-6 * tf.reduce_mean(out, axis=0, keepdims=True)


class Clipped(demucs_tf.DemucsTF):
    """Stems are limited, as a file of whole numbers would."""

    def call(self, mix: Any) -> Any:
        return tf.clip_by_value(super().call(mix), -1e3, 1e3)


class Offset(demucs_tf.DemucsTF):
    """A constant is added behind the level."""

    def call(self, mix: Any) -> Any:
        return super().call(mix) + 0.01


class OneSided(demucs_tf.DemucsTF):
    """The left channel is a trifle louder."""

    def call(self, mix: Any) -> Any:
        out = super().call(mix)
        return out * tf.constant([[1 + 1e-9], [1.0]], out.dtype)


class GuessesLength(demucs_tf.DemucsTF):
    """Where the length is unknown, it is another function."""

    def call(self, mix: Any) -> Any:
        out = super().call(mix)
        return out if isinstance(mix.shape[-1], int) else out * (1 + 1e-9)


@pytest.mark.parametrize(
    ("name", "cls", "told"),
    [
        ("order", InPlace, "stems depend on an item's place in the batch: relative L2 "),
        ("alone", Together, "an item gives other stems alone than in a batch: "),
        ("gain", Clipped, "a louder mixture gives other stems: "),
        ("gain", Offset, "a louder mixture gives other stems: "),
        ("channels", OneSided, "left and right are not treated alike: "),
        ("graph", GuessesLength, "the graph gives something else than eager execution: "),
    ],
)
def test_a_broken_model_is_told(name: str, cls: Any, told: str) -> None:
    found = _one(name, _made(cls, **ARGUMENTS))
    assert found.verdict == "fail"
    assert found.sentence.startswith(told)
    assert "rounding explains" in found.sentence


def test_broken_chunks_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = single.Job._split

    def louder(job: Any, *arguments: Any) -> Iterator[Any]:
        return (block * (1 + 1e-12) for block in whole(job, *arguments))

    monkeypatch.setattr(single.Job, "_split", louder)
    found = _one("whole", _made(demucs_tf.DemucsTF, **ARGUMENTS))
    assert found.verdict == "fail"
    assert "gives other stems split than whole" in found.sentence


def test_an_overlap_that_does_not_move_on_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(single, "_move_on", lambda row, stride: None)
    found = _one("chunks", _made(demucs_tf.DemucsTF, **{**ARGUMENTS, "segment": 0.1}))
    assert found.verdict == "fail"
    assert "differs from its chunks where only one of them covers it" in found.sentence


def test_what_a_model_does_not_promise_is_not_decided() -> None:
    raw = _made(demucs_tf.DemucsTF, **ARGUMENTS, normalize=False)
    assert _one("gain", raw).verdict == "not decided"
    mono = _made(demucs_tf.DemucsTF, **ARGUMENTS, audio_channels=1)
    found = _one("channels", mono)
    assert (found.verdict, found.error) == ("not decided", None)
    assert found.sentence == "the model does not have two channels"


class Strange(keras.Model):
    """A model of nobody's: two stems that are a filter of the mixture."""

    audio_channels, samplerate = 2, 1000

    def __init__(self, dtype: str) -> None:
        super().__init__(dtype=dtype)
        self.kernel = tf.constant(np.hanning(9)[:, None, None], dtype)

    def call(self, mix: Any) -> Any:
        rows = tf.reshape(mix, (-1, tf.shape(mix)[-1], 1))
        out = tf.reshape(tf.nn.conv1d(rows, self.kernel, 1, "SAME"), tf.shape(mix))
        return tf.stack([out, tf.tanh(out)], axis=1)


def test_any_keras_model() -> None:
    found = parity.relations(Strange("float32"), wide=Strange("float64"), seconds=0.3)
    verdicts = {relation.name: relation.verdict for relation in found}
    passed = {"order", "alone", "graph"}
    assert verdicts == {name: "pass" if name in passed else "not decided" for name in NAMES}
    with pytest.raises(ParityError, match=r"a second Strange in float64 .*give it as wide="):
        parity.relations(Strange("float32"))
    with pytest.raises(ParityError, match="in float32 and in float64, found float32 and float32"):
        parity.relations(Strange("float32"), wide=Strange("float32"))
    with pytest.raises(ParityError, match="no relation 'louder'; there are order, alone, "):
        parity.relations(Strange("float32"), only=["louder"])


def test_nan_never_passes() -> None:
    model = _made(demucs_tf.DemucsTF, **ARGUMENTS)
    bias = next(v for v in model.variables if v.path.endswith("bias"))
    bias.assign(np.nan * np.zeros(bias.shape))
    assert _one("order", model).verdict == "fail"


def test_the_command(tmp_path: Path, capsys: Any) -> None:
    file, table = tmp_path / "tiny.safetensors", tmp_path / "r.json"
    file.write_bytes(tiny_bytes(0, sources=tuple(TWO)))
    words = ["relations", str(file), "--only", "order", "--only", "gain", "--seconds", "0.05"]
    assert main([*words, "--dtype", "float64", "--json", str(table)]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].split()[:4] == ["PASS", "DemucsTF", "order", "float64"]
    assert out.endswith("2 hold, 0 do not, 0 not decided\n")
    assert [each["name"] for each in json.loads(table.read_text())["DemucsTF"]] == ["order", "gain"]
    assert main(["relations", str(tmp_path / "none.th")]) == 2
    assert main([*words, "--only", "x"]) == 2
    assert "no relation 'x'" in capsys.readouterr().err
