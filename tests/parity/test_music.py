"""Scenes, measures and gates of `parity.music`; live: both sides of small models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parity.__main__ import main
from parity.cases.case import HDEMUCS, Case
from parity.core.result import ParityError, write_json
from parity.music import gates, judge, scenes, scores, show, sides
from parity.music.instruments import INSTRUMENTS, RATE
from parity.music.scenes import Layout, Scene
from parity.music.sides import Sides
from tests.support.tiny_models import tiny_bytes

SHORT = Layout("short", 1.0, (0.45, 0.7))
TWO = ["bass", "vocals"]
ALL = tuple(INSTRUMENTS)


@pytest.fixture(scope="module", params=scenes.LAYOUTS[:2], ids=lambda layout: layout.kind)
def drawn(request: pytest.FixtureRequest) -> Scene:
    return scenes.scene(request.param, 3, ALL)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Short distortion filters and frames: museval's own take seconds for each scene."""
    monkeypatch.setattr(scores, "FILTERS", 8)
    monkeypatch.setattr(scores, "FRAME", RATE // 5)
    monkeypatch.setattr(scenes, "LAYOUTS", (SHORT,))
    monkeypatch.setattr(scenes, "WAIT", 0.3)
    return scenes.scene(SHORT, 0, TWO)


def test_stems_sum_to_the_mixture_without_rounding(drawn: Scene) -> None:
    assert drawn.stems.dtype == drawn.mixture.dtype == np.float32
    total = np.zeros(drawn.mixture.shape, np.float32)
    for stem in drawn.stems:
        total += stem
    assert np.array_equal(total, drawn.mixture)
    assert 0.8 < np.abs(drawn.mixture).max() < 1


def test_silence_is_silent_and_ends_at_once(drawn: Scene) -> None:
    start, stop = drawn.silence.start, drawn.silence.stop
    assert stop - start >= 0.7 * RATE
    assert not drawn.stems[..., start:stop].any()
    assert np.abs(drawn.mixture[:, stop : stop + RATE // 10]).max() > 0.05
    if start:
        assert np.abs(drawn.mixture[:, start - RATE // 2 : start]).max() > 0.05


def test_every_stem_is_heard_and_one_is_quiet(drawn: Scene) -> None:
    peaks = dict(zip(drawn.sources, np.abs(drawn.stems).max(axis=(1, 2)), strict=True))
    others = [peak for source, peak in peaks.items() if source != drawn.quiet]
    assert peaks[drawn.quiet] == pytest.approx(scenes.QUIET * max(others), rel=0.2)
    assert min(others) > 0.1
    late = [not stem[:, : round(scenes.WAIT * RATE)].any() for stem in drawn.stems]
    assert sum(late) == 1
    for stem in drawn.stems:
        assert not np.array_equal(*stem)  # stereo


def test_scenes_are_their_seeds() -> None:
    first, again, other = (scenes.scene(SHORT, seed, TWO) for seed in (5, 5, 6))
    assert first.stems.tobytes() == again.stems.tobytes()
    assert first.stems.shape == other.stems.shape == (2, 2, RATE)
    assert not np.array_equal(first.stems, other.stems)


def test_a_stem_that_nobody_plays_is_refused() -> None:
    with pytest.raises(ParityError, match=r"no instrument plays the stem 'tuba'; scenes have drum"):
        scenes.scene(SHORT, 0, ["drums", "tuba"])


def _estimates(scene: Scene, level: float = 0.05) -> Any:
    noise = np.random.RandomState(0).uniform(-level, level, scene.stems.shape)
    return scene.stems + noise


def test_sdr_is_that_of_the_definition_frame_by_frame(quick: Scene) -> None:
    estimates = _estimates(quick)
    found = scores.bss_eval(quick.stems, estimates)
    for stem in range(2):
        for frame in range(found.sdr.shape[1]):
            place = slice(frame * scores.FRAME, (frame + 1) * scores.FRAME)
            if quick.stems[:, :, place].any(axis=(1, 2)).all():
                plain = scores.sdr(quick.stems[stem][:, place], estimates[stem][:, place])
                assert found.sdr[stem, frame] == pytest.approx(plain, abs=1e-9)


def test_frames_with_a_silent_stem_are_left_out_for_all(quick: Scene) -> None:
    found = scores.bss_eval(quick.stems, _estimates(quick))
    frames = np.arange(found.sdr.shape[1])[:, None] * scores.FRAME
    silent = [
        not all(stem[:, start : start + scores.FRAME].any() for stem in quick.stems)
        for (start,) in frames
    ]
    assert 0 < sum(silent) < len(silent)
    for measure in scores.MEASURES:
        values = getattr(found, measure)
        assert np.isnan(values[:, silent]).all()
        assert np.isfinite(values[:, ~np.array(silent)]).all()
        assert np.array_equal(found.median(measure), np.nanmedian(values, axis=1))


def test_interference_is_not_artifact(quick: Scene) -> None:
    """A bass that leaks into the voice costs its SIR, and not its SAR."""
    leaked = quick.stems.astype(np.float64)
    leaked[1] += 0.3 * leaked[0]
    found = scores.bss_eval(quick.stems, leaked)
    assert found.median("sir")[1] == pytest.approx(found.median("sdr")[1], abs=1)
    assert found.median("sar")[1] > found.median("sir")[1] + 20


def test_si_sdr_is_that_of_its_definition() -> None:
    time = np.arange(1000) / 1000
    truth, orthogonal = np.sin(20 * np.pi * time), np.cos(20 * np.pi * time)
    assert scores.si_sdr(truth, 3 * truth + 0.3 * orthogonal) == pytest.approx(20)
    assert scores.sdr(truth, truth + 0.1 * orthogonal) == pytest.approx(20)
    assert np.isnan(scores.si_sdr(0 * truth, truth))
    assert np.isnan(scores.sdr(0 * truth, truth))
    assert scores.level(0 * truth) == -np.inf


def _reasons(scene: Scene, change: Any, place: Any) -> dict[tuple[str, str], str]:
    """What fails when the port's estimate is multiplied by `change` at a place."""
    reference = _estimates(scene)
    port = reference.copy()
    port[place] *= change
    rows = gates.compare_scene("model", scene, reference, port)
    return {(row.stem, row.stretch): row.reason for row in rows if row.reason}


def test_equal_estimates_pass(quick: Scene) -> None:
    assert _reasons(quick, 1.0, np.s_[:]) == {}


def test_a_stem_is_not_excused_by_the_others(quick: Scene) -> None:
    failed = _reasons(quick, 1 + 4e-6, np.s_[1])
    assert {stem for stem, _ in failed} == {"vocals", "all"}
    assert failed["vocals", "whole"] == "SNR 108.0 dB, less than 110"
    assert failed["all", "whole"].endswith("dB, less than 120")


@pytest.mark.parametrize(
    ("stretch", "place"),
    [
        ("start", np.s_[0, :, :2000]),
        ("end", np.s_[0, :, -2000:]),
        ("silence", np.s_[0, :, 22000:24000]),
    ],
)
def test_a_stretch_is_not_excused_by_the_rest(quick: Scene, stretch: str, place: Any) -> None:
    failed = _reasons(quick, 1 + 1e-5, place)
    assert ("bass", stretch) in failed
    assert not {(stem, each) for stem, each in failed if each not in (stretch, "whole")}
    assert not {stem for stem, _ in failed} - {"bass", "all"}


def test_a_change_of_level_in_silence_is_named(quick: Scene) -> None:
    failed = _reasons(quick, 1.001, np.s_[1, :, quick.silence])
    reason = failed["vocals", "silence"]
    assert reason.startswith("level changes by 0.0087 dB, more than 0.0005; SNR 60.0 dB, less than")


def test_a_nan_never_passes(quick: Scene) -> None:
    row = next(iter(gates.compare_scene("m", quick, _estimates(quick), _estimates(quick))))
    assert row.reason == ""
    assert "sdr changes by nan" in gates.failed_gates(replace(row, sdr_port=np.nan))["sdr"]
    assert "SNR nan" in gates.failed_gates(replace(row, snr=np.nan))["snr"]


def test_where_float32_itself_does_not_hold_nothing_is_decided(quick: Scene) -> None:
    reference = _estimates(quick)
    noise = np.random.RandomState(1).normal(size=reference.shape) * 1e-5
    wide, close, far = reference + noise, reference + 2 * noise, reference - 9 * noise
    row = next(iter(gates.compare_scene("m", quick, reference, close)))
    assert row.verdict == "fail"
    found = judge.decided(row, quick, wide, reference, close)
    assert found.verdict == "not decided"
    assert "of float64 the reference's own float32 is 8" in found.reason
    assert judge.decided(row, quick, wide, reference, far).verdict == "fail"
    assert judge.decided(row, quick, reference, reference, close).verdict == "fail"


def test_si_sdr_of_an_estimate_orthogonal_to_the_truth_is_not_decided(quick: Scene) -> None:
    """The change of SI-SDR is rounding over next to nothing; of a fair estimate it is a fault."""
    random = np.random.RandomState(1)
    wide = _estimates(quick)
    stem = quick.stems[1].astype(np.float64)
    wide[1] -= stem * (np.sum(stem * wide[1]) / np.sum(stem**2) - 1e-7)
    reference, port = (wide * (1 + 3e-7 * random.normal(size=wide.shape)) for _ in range(2))
    rows = {(r.stem, r.stretch): r for r in gates.compare_scene("m", quick, reference, port)}
    row = rows["vocals", "whole"]
    assert [*gates.failed_gates(row)] == ["si_sdr"]
    found = judge.decided(row, quick, wide, reference, port)
    assert found.verdict == "not decided"
    assert "the estimate is next to orthogonal to the truth, SI-SDR -1" in found.reason
    leaked = port.copy()
    leaked[1] += 1e-6 * stem
    assert judge.decided(row, quick, wide, reference, leaked).verdict == "fail"


def test_the_spread_of_si_sdr_is_that_of_many_draws(quick: Scene) -> None:
    random, wide = np.random.RandomState(2), _estimates(quick)[0]
    draws = [wide * (1 + 1e-6 * random.normal(size=wide.shape)) for _ in range(60)]
    stem = quick.stems[0]
    changes = [scores.si_sdr(stem, draw) - scores.si_sdr(stem, wide) for draw in draws]
    spread = judge.si_sdr_spread(stem, wide, draws[0])
    assert spread == pytest.approx(np.std(changes), rel=0.5)


def test_tables(quick: Scene, tmp_path: Path) -> None:
    rows = list(gates.compare_scene("m", quick, _estimates(quick), 1.01 * _estimates(quick)))
    frame = gates.table(rows)
    assert len(frame) == 3 * 4
    assert list(frame["verdict"].unique()) == ["fail"]
    show.write_csv(tmp_path / "music.csv", frame)
    back = show.read_csv(tmp_path / "music.csv")
    assert show.summary(back).equals(show.summary(frame))
    text = show.markdown(show.summary(back))
    assert text.startswith("| model | stem | SDR | SI-SDR | ISR | SIR | SAR | ΔSDR |")
    assert "| m | vocals |" in text
    assert show.failures(back)[0].startswith("fail: m, short-0, all, whole: sdr changes by ")
    json_path, page = tmp_path / "result.json", tmp_path / "report.html"
    write_json(json_path, [])
    words = ["report", str(json_path), "--music", str(tmp_path / "music.csv"), "--html", str(page)]
    assert main(words) == 0
    assert '<h2 id="table-1">In the units of music (dB)</h2>' in page.read_text()
    assert ">ΔSI-SDR</th>" in page.read_text()
    (tmp_path / "music.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ParityError, match=r"music.csv is no table of .*it lacks 'delta_isr'"):
        show.read_csv(tmp_path / "music.csv")


HYBRID: dict[str, Any] = {
    "channels": 4,
    "depth": 1,
    "nfft": 8,
    "kernel_size": 4,
    "stride": 2,
    "dconv_mode": 0,
    "segment": 0.4,
}


def _small(**arguments: Any) -> Sides:
    config = {"sources": TWO, **HYBRID, **arguments}
    return sides.of_case(Case("small", config, 1, reference=HDEMUCS))


@pytest.mark.live
def test_a_small_model_passes_and_one_with_a_wrong_weight_fails(quick: Scene) -> None:
    both = _small()
    reference, port = (both.run(side, [quick.mixture])[0] for side in ("reference", "port"))
    rows = list(gates.compare_scene("small", quick, reference, port))
    assert [row for row in rows if row.verdict != "pass"] == []
    assert min(row.snr for row in rows) < np.inf

    def wrong() -> Any:
        port = both.port()
        variable = next(v for v in port.variables if v.path.endswith("bias"))
        variable.assign(variable + 1e-4)
        return port

    [port] = replace(both, port=wrong).run("port", [quick.mixture])
    failed = [r for r in gates.compare_scene("wrong", quick, reference, port) if r.reason]
    assert len(failed) == len(rows)


@pytest.mark.live
def test_masks_times_the_phase_of_silence_are_not_decided(quick: Scene) -> None:
    rows = list(judge.rows(_small(cac=False), [quick]))
    assert {row.verdict for row in rows if row.stretch == "silence"} == {"not decided"}
    assert not [row for row in rows if row.verdict == "fail"]


@pytest.mark.live
@pytest.mark.usefixtures("quick")
def test_the_command(tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint, table = tmp_path / "tiny.safetensors", tmp_path / "music.csv"
    checkpoint.write_bytes(tiny_bytes(0, sources=tuple(TWO)))
    words = ["music", "--checkpoint", str(checkpoint), "--scenes", "1", "--csv", str(table)]
    assert main([*words, "--markdown", str(tmp_path / "music.md")]) == 0
    assert "12 rows passed, 0 failed, 0 not decided" in capsys.readouterr().out
    frame = show.read_csv(table)
    assert list(frame["scene"].unique()) == ["short-0"]
    assert "| tiny.safetensors | bass |" in (tmp_path / "music.md").read_text()
    monkeypatch.setattr(gates, "MOST_DB", -1.0)
    assert main(words[:-2]) == 1
    assert "more than -1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--preset", "htdemux"], "--preset: no 'htdemux'; there are htdemucs, "),
        (["--scenes", "0"], "--scenes: expected at least 1, found 0."),
        (["--seed", "-1"], "--seed: expected 0 to 2^32 less --scenes, found -1."),
        (["--checkpoint", "x.pt"], "expected a .th or .safetensors file, found x.pt."),
        (["--checkpoint", "x.th", "--preset", "htdemucs"], "do not go together."),
        (["--csv", "nowhere/x.csv"], "--csv nowhere/x.csv: there is no folder nowhere."),
    ],
)
def test_wrong_usage(words: list[str], message: str, capsys: Any) -> None:
    assert main(["music", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.live
@pytest.mark.full
@pytest.mark.parametrize("name", ["htdemucs", "htdemucs_6s", "hdemucs_mmi", "mdx_time", "mdx_mask"])
def test_full_size(name: str) -> None:
    both = sides.of_preset(name)
    drawn = list(scenes.scenes(2, 0, both.sources))
    failed = [row for row in judge.rows(both, drawn) if row.verdict == "fail"]
    assert not failed, "\n".join(f"{row.scene} {row.stem}: {row.reason}" for row in failed)
