"""What a pass takes in memory and work: estimated, held against bounds, and told with what fits."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demucs_tf import BagOfModels, DemucsTF, HTDemucsTF, Separator, apply_model
from demucs_tf.errors import MemoryBoundError, WorkBoundError
from demucs_tf.inference.bounds import MOST_WORK, SHARE, check_cost, memory_bound
from demucs_tf.inference.cost import cost_of
from demucs_tf.models.config import CONFIGS
from demucs_tf.models.presets import PRESETS
from parity.cases import CASES
from tests.support import peak
from tests.support.fakes import noise
from tests.support.peak import config_of

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
# The same of other arguments: what `python -m tests.support.peak` was given, and what it printed.
OTHERS = Path(peak.__file__).with_name("peaks.txt").read_text("utf-8").splitlines()
SMALL: dict[str, Any] = {"channels": 8, "depth": 2, "samplerate": 1000}


@pytest.mark.parametrize(("name", "seconds", "items", "megabytes"), MEASURED)
def test_the_estimate_is_what_was_measured_or_somewhat_more(
    name: str, seconds: float, items: int, megabytes: int
) -> None:
    cost = cost_of(config_of(name, {}))
    assert 1 <= cost.bytes(int(seconds * 44100), items, 4) / 1e6 / megabytes <= 1.6


@pytest.mark.parametrize("row", OTHERS)
def test_so_it_is_whatever_a_model_is_made_of(row: str) -> None:
    """Attention makes a square of the length, and loops keep a row for each step."""
    megabytes, _, arguments = row.partition(" ")
    name, seconds, items, changes = json.loads(arguments)
    cost = cost_of(config_of(name, changes))
    assert 1 <= cost.bytes(int(seconds * 44100), items, 4) / 1e6 / int(megabytes) <= 2.5


def transformer(**changes: Any) -> HTDemucsTF:
    small = {**SMALL, "nfft": 64, "t_layers": 1, "t_heads": 2, "bottom_channels": 0}
    return HTDemucsTF(["a", "b"], **{**small, **changes})


def bound_between(model: Any, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a pass over that many seconds be the longest."""
    length = int(seconds * model.samplerate)
    monkeypatch.setenv("DEMUCS_TF_MEMORY", f"{cost_of(model.config).bytes(length, 1, 4) / 1e9}")


def told(error: BaseException) -> float:
    return float(str(error).partition("at most ")[2].partition(" s fits")[0])


@pytest.mark.parametrize(
    "make", [lambda: DemucsTF(["a", "b"], **SMALL), lambda: transformer(use_train_segment=False)]
)
def test_what_fits_is_told_and_fits(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, mix = make(), noise(1, 2, 9000)
    bound_between(model, 5, monkeypatch)
    options: dict[str, Any] = {"shifts": 0}
    with pytest.raises(MemoryBoundError, match="DEMUCS_TF_MEMORY sets another") as caught:
        apply_model(model, mix, **options, split=False)
    fits = told(caught.value)
    assert 4.9 < fits <= 5
    assert apply_model(model, mix, **options, segment=fits).shape == (1, 2, 2, 9000)
    with pytest.raises(MemoryBoundError):
        apply_model(model, mix, **options, segment=fits + 0.1)
    with pytest.raises(MemoryBoundError, match=r"times [34] needs") as caught:
        apply_model(model, mix, **options, segment=fits * 0.8, batch_size=4)
    fits = told(caught.value)  # in batches of four, and there are more of these
    apply_model(model, mix, **options, segment=fits, batch_size=4)
    monkeypatch.setenv("DEMUCS_TF_MEMORY", "1")
    assert apply_model(model, mix, **options, split=False).shape == (1, 2, 2, 9000)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="measures peaks as Linux does")
def test_the_longest_segment_that_fits_takes_no_more_than_the_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    changes = {"channels": 8, "sources": ["a", "b"]}
    model = DemucsTF(**changes)
    monkeypatch.setenv("DEMUCS_TF_MEMORY", "0.8")
    with pytest.raises(MemoryBoundError) as caught:
        check_cost(model, 100 * 44100, 1)
    row = json.dumps(["Demucs", told(caught.value), 1, changes])
    command = [sys.executable, "-m", "tests.support.peak", row]
    megabytes, _ = subprocess.run(
        command, check=True, capture_output=True, text=True
    ).stdout.split()
    assert 400 < int(megabytes) < 800


def test_a_model_that_pads_its_input_is_not_helped_by_a_shorter_segment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = transformer(segment=10)
    bound_between(model, 9, monkeypatch)
    with pytest.raises(MemoryBoundError, match=r"over 10 s needs .* no shorter segment helps"):
        apply_model(model, noise(1, 2, 500), segment=0.5)


def test_work_beyond_all_sense_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    many = {"t_heads": 64, "bottom_channels": 512, "channels": 8, "depth": 2, "nfft": 1024}
    model = HTDemucsTF(["a", "b"], t_layers=1, use_train_segment=False, **many)
    monkeypatch.setenv("DEMUCS_TF_MEMORY", "1000")
    with pytest.raises(WorkBoundError, match=r"takes some .* htdemucs takes .* fits\. DEMUCS_TF_W"):
        apply_model(model, noise(1, 2, 441_000), split=False)
    with pytest.raises(WorkBoundError, match="pads its input"):
        apply_model(HTDemucsTF(["a", "b"], t_layers=1, **many), noise(1, 2, 100))
    with pytest.raises(WorkBoundError) as caught:
        check_cost(model, 441_000, 1)
    check_cost(model, int(told(caught.value) * 44100), 1)
    monkeypatch.setenv("DEMUCS_TF_WORK", "1000")
    check_cost(model, 441_000, 1)
    monkeypatch.setenv("DEMUCS_TF_WORK", "all")
    with pytest.raises(ValueError, match="DEMUCS_TF_WORK must be a number above 0, got 'all'"):
        check_cost(model, 441_000, 1)


def test_the_measure_of_work_is_htdemucs() -> None:
    assert cost_of(config_of("htdemucs", {})).work(343_980, 44100) == pytest.approx(1, rel=0.05)


def test_published_models_and_all_cases_take_far_less_work_than_they_may() -> None:
    rows = [(config_of(name, {}), 300 * 44100) for name in PRESETS]
    rows += [(CONFIGS[case.reference].from_dict(case.config), case.length) for case in CASES]
    for config, length in rows:
        assert cost_of(config).work(length, config.samplerate) < MOST_WORK / 2


def test_a_separator_refuses_a_track_before_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    model = DemucsTF(["a", "b"], **SMALL)
    bound_between(model, 9, monkeypatch)
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
    bound_between(transformer(), 30, monkeypatch)
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
