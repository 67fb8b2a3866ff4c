"""Stems on the page: pictures, levels over time, and clips of the one that is worst."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from parity.core.kept.sound import Sound, sound_of
from parity.report import sound as view
from tests.parity.test_report import _no_bundle, record, result, write

__all__ = ["_no_bundle"]  # Plotly's bundle is looked at there

RATE = 8000
NAMES = ("drums", "vocals")


def _sound(errors: tuple[float, float] = (1e-6, 1e-3)) -> Sound:
    """Two stems of 2 s, a tone each; what differs is noise in the second half."""
    random, time = np.random.default_rng(3), np.arange(2 * RATE) / RATE
    expected = np.stack([np.sin(2 * np.pi * hertz * time) for hertz in (220.0, 1760.0)])
    expected = np.repeat(expected[:, None], 2, axis=1)
    noise = random.normal(size=expected.shape) * (time > 1)
    actual = expected + noise * np.asarray(errors)[:, None, None]
    return Sound(RATE, NAMES, expected, actual)


def test_only_stems_can_be_heard() -> None:
    stems = np.ones((1, 2, 2, RATE))
    found = sound_of(RATE, NAMES, stems, stems)
    assert found is not None
    assert found.actual.shape == (2, 2, RATE)
    for expected, actual in (
        (stems[0], stems[0]),
        (stems[..., :99], stems[..., :99]),
        (stems, stems[:, :1]),
        (stems[:, :1], stems[:, :1]),
        (stems, stems * np.nan),
    ):
        assert sound_of(RATE, NAMES, expected, actual) is None


def test_what_is_seen() -> None:
    heard = view.heard(_sound())
    drums, vocals = heard.stems
    assert (drums.name, vocals.name) == NAMES
    assert 110 < drums.snr < 125
    assert vocals.snr == pytest.approx(drums.snr - 60, abs=0.5)
    titles = [picture.title for picture in drums.pictures]
    assert titles == ["reference", "port", "difference"]
    for picture in drums.pictures:
        content = base64.b64decode(picture.url.partition(",")[2])
        assert content.startswith(b"\x89PNG")
        assert picture.high - picture.low == view.RANGE
    error = [float(point.split(",")[1]) for point in drums.error.split()]
    assert min(error[:100]) > max(error[140:]) + 20  # silent, then loud: low is further down


def test_a_tone_is_a_line_at_its_pitch() -> None:
    levels = view._spectrogram(_sound().expected[1, 0])
    row = int(np.argmax(levels.mean(axis=1)))
    bins = np.unique(np.geomspace(1, view.WINDOW // 2 + 1, view.HIGH + 1).astype(int))
    low, high = bins[len(levels) - 1 - row], bins[len(levels) - row]
    assert low <= 1760 * view.WINDOW / RATE <= high + 1


def test_what_is_heard() -> None:
    """The worst stem; the difference is raised, and the title says by how much."""
    heard = view.heard(_sound())
    assert heard.worst == min(heard.stems, key=lambda stem: stem.snr).name == "vocals"
    sounds = [
        soundfile.read(io.BytesIO(base64.b64decode(clip.url.partition(",")[2])))
        for clip in heard.clips
    ]
    assert [rate for _, rate in sounds] == [RATE] * 3
    (title,) = [clip.title for clip in heard.clips if clip.title.startswith("difference")]
    raised = float(re.findall(r"raised by (\d+) dB", title)[0])
    assert raised == pytest.approx(20 * np.log10(view.LOUDEST / 4e-3), abs=3)
    assert np.max(np.abs(sounds[2][0])) == pytest.approx(view.LOUDEST, rel=0.5)
    same = _sound((0.0, 0.0))
    assert len(view.heard(same).clips) == 2


def test_the_page_has_the_first_cases_only(tmp_path: Path) -> None:
    results = [
        replace(result(record()), case=f"c{index}", sound=_sound()) for index in range(4)
    ] + [result(record())]
    page = write(tmp_path, *results)
    assert len([1 for tag, _ in page.elements if tag == "audio"]) == 3 * 2
    assert len([1 for tag, _ in page.elements if tag == "img"]) == 3 * 2 * 2
    assert page.words.count("To hear: vocals, the stem with the lowest SNR.") == 2
