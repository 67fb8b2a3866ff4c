"""The memory that a pass needs: estimated, held against a bound, and told with what fits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demucs_tf import BagOfModels, DemucsTF, HTDemucsTF, Separator, apply_model
from demucs_tf.errors import MemoryBoundError
from demucs_tf.inference.memory import SHARE, memory_bound, numbers_per_sample
from demucs_tf.models.config import CONFIGS
from demucs_tf.models.presets import PRESETS
from tests.support.fakes import noise

# Megabytes that a pass took beyond what the loaded model had, on a machine with two cores and
# TensorFlow 2.21: the peak of a process (ru_maxrss) that did nothing else.
MEASURED = [
    ("htdemucs", 2, 1, 353),
    ("htdemucs", 7.8, 1, 695),
    ("htdemucs", 7.8, 2, 1000),
    ("hdemucs_mmi", 5, 1, 575),
    ("hdemucs_mmi", 10, 1, 749),
    ("hdemucs_mmi", 20, 1, 1034),
    ("mdx_time", 10, 1, 563),
    ("mdx_time", 20, 1, 851),
    ("mdx_mask", 5, 1, 564),
    ("mdx_mask", 10, 1, 724),
    ("mdx_multi", 10, 1, 750),
]
SMALL: dict[str, Any] = {"channels": 8, "depth": 2, "samplerate": 1000}


@pytest.mark.parametrize(("name", "seconds", "items", "megabytes"), MEASURED)
def test_the_estimate_is_what_was_measured_or_somewhat_more(
    name: str, seconds: float, items: int, megabytes: int
) -> None:
    preset = PRESETS[name]
    arguments = {"sources": list(preset.sources), **preset.arguments}
    config = CONFIGS[preset.klass].from_dict(arguments)
    numbers = numbers_per_sample(config) * seconds * 44100 * items
    assert 1 <= (250 + 4 * numbers / 1e6) / megabytes <= 1.6


def transformer(**changes: Any) -> HTDemucsTF:
    small = {**SMALL, "nfft": 64, "t_layers": 1, "t_heads": 2, "bottom_channels": 0}
    return HTDemucsTF(["a", "b"], **{**small, **changes})


@pytest.mark.parametrize("make", [lambda: DemucsTF(["a", "b"], **SMALL), transformer])
def test_what_fits_is_told_and_fits(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, mix = make(), noise(1, 2, 9000)
    monkeypatch.setenv("DEMUCS_TF_MEMORY", "0.2505")
    options: dict[str, Any] = {"shifts": 0}
    with pytest.raises(MemoryBoundError, match="DEMUCS_TF_MEMORY sets another") as caught:
        apply_model(model, mix, **options, split=False)
    fits = float(str(caught.value).partition("at most ")[2].partition(" s fits")[0])
    assert 0.1 < fits < 9
    if isinstance(model, DemucsTF):
        assert apply_model(model, mix, **options, segment=fits * 0.9).shape == (1, 2, 2, 9000)
    with pytest.raises(MemoryBoundError):
        apply_model(model, mix, **options, segment=fits * 1.5)
    with pytest.raises(MemoryBoundError, match=r"times [34] needs"):
        apply_model(model, mix, **options, segment=fits * 0.8, batch_size=4)
    monkeypatch.setenv("DEMUCS_TF_MEMORY", "1")
    assert apply_model(model, mix, **options, split=False).shape == (1, 2, 2, 9000)


def test_a_separator_refuses_a_track_before_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMUCS_TF_MEMORY", "0.2505")
    ran: list[str] = []
    model = DemucsTF(["a", "b"], **SMALL)
    separator = Separator(model, segment=200, callback=lambda state: ran.append(state["state"]))
    with pytest.raises(
        MemoryBoundError, match=r"over 200.* s needs .* a segment of at most .* fits"
    ):
        separator.separate_tensor(noise(2, 300_000))
    assert not ran
    separator.separate_tensor(noise(2, 500))  # of which there is less than a segment
    assert ran


def test_every_member_of_a_bag_is_looked_at_before_the_first_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A segment that a file names: HTDemucs pads every chunk to it."""
    monkeypatch.setenv("DEMUCS_TF_MEMORY", "0.3")
    ran: list[str] = []
    bag = BagOfModels([transformer(), transformer(segment=300)])
    with pytest.raises(MemoryBoundError, match=r"a pass over 300 s needs some .* GB of memory"):
        apply_model(bag, noise(1, 2, 100), callback=lambda state: ran.append(state["state"]))
    assert not ran


@pytest.mark.parametrize("value", ["", "0", "-1", "nan", "much"])
def test_a_bound_that_is_none(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMUCS_TF_MEMORY", value)
    with pytest.raises(ValueError, match="DEMUCS_TF_MEMORY must be a number of GB above 0, got"):
        memory_bound()


def test_without_one_it_is_a_share_of_the_machine() -> None:
    lines = Path("/proc/meminfo").read_text().split()
    assert memory_bound() <= SHARE * int(lines[1]) * 1024 * 1.01
    assert memory_bound() > 10**8
    assert np.isfinite(memory_bound())
