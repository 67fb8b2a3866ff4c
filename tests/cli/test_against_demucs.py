"""`demucs` and `demucs-tf` as commands, on the same checkpoints and music, with the same seed."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from demucs_tf.cli.main import main
from demucs_tf.models.presets import PRESETS
from parity.cases import signals
from parity.core.compare import compare, relative_l2, snr_db
from parity.core.seeding import seed_module
from parity.core.tolerances import FACTOR
from tests.support.fakes import Array, sums_in_float64

SOURCES = ["drums", "bass", "other", "vocals"]
SEED = 42
ONE_HOT = "[[1., 0., 0., 0.], [0., 1., 0., 0.], [0., 0., 1., 0.], [0., 0., 0., 1.]]"
WEIGHTED = "[[1., 1., 0., 0.], [0., 1., 0., 0.], [1., 0., 1., 1.], [1., 0., 1., 1.]]"  # as mdx

# Signature: the published configuration, and what makes it small.
# (Of the transformer's depth: with less of it, the reference's attention fills the memory.)
_SMALL_HT = {"channels": 4, "bottom_channels": 8, "t_layers": 1, "t_heads": 2, "dconv_comp": 2}
_SMALL_TIME = {"channels": 4, "depth": 3}
_SMALL_HYBRID = {"channels": 4, "dconv_comp": 2}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "transf01": ("htdemucs", _SMALL_HT),
    "transf02": ("htdemucs", _SMALL_HT),
    "transf03": ("htdemucs", _SMALL_HT),
    "transf04": ("htdemucs", _SMALL_HT),
    "timedom1": ("mdx_time", _SMALL_TIME),
    "timedom2": ("repro_mdx_a_time", _SMALL_TIME),
    "hybrid01": ("mdx_extra_cac", _SMALL_HYBRID),
    "hybrid02": ("mdx_multi", _SMALL_HYBRID),
    "masking1": ("mdx_mask", _SMALL_HYBRID),
}
BAGS = {
    "one_hot": f"models: ['transf01', 'transf02', 'transf03', 'transf04']\nweights: {ONE_HOT}\n",
    "weighted": "models: ['timedom1', 'timedom2', 'hybrid01', 'hybrid02']\n"
    f"weights: {WEIGHTED}\nsegment: 44\n",
}
# What is compared: a name, the options, and whether the clip has to be short.
RUNS: dict[str, tuple[str, list[str], bool]] = {
    "defaults": ("transf01", [], False),
    "shifts": ("transf01", ["--shifts", "2"], False),
    "overlap": ("transf01", ["--overlap", "0.1"], False),
    "segment": ("transf01", ["--segment", "4"], False),
    "two-stems": ("transf01", ["--two-stems", "vocals"], False),
    "minus": ("hybrid01", ["--two-stems", "vocals", "--other-method", "minus"], False),
    "no-split": ("hybrid02", ["--no-split"], True),
    "one-hot-bag": ("one_hot", [], False),
    "weighted-bag": ("weighted", [], False),
    "masking": ("masking1", [], False),
    "time-domain": ("timedom1", [], False),  # the quickest
}

MUSIC = {path.stem: path for path in signals.music_files()}
CLIPS = ["piece", *MUSIC]
# The rest with `--full`: every clip separated in one way, and one clip in these ways.
QUICK = ["shifts", "segment", "weighted-bag"]
# Without it: two chunks of 4 s; and of what the bag's models pad to no length, which costs by the
# second, enough for several frames of their innermost layers.
CHUNKS, ONE_CHUNK = 5, 2


def _pairs(runs: list[str], quick: list[str]) -> list[Any]:
    """Each run with each clip."""

    def pair(run: str, clip: str) -> Any:
        soon = run == "defaults" or (run in quick and clip == "piece")
        return pytest.param(run, clip, id=f"{run}-{clip}", marks=[] if soon else pytest.mark.full)

    return [pair(run, clip) for run in runs for clip in CLIPS]


# A model that masks takes phases from the mixture, and where there is next to nothing in it they
# are rounding noise in float32: the reference in float32 is as far from itself in float64.
SINGLE = _pairs([name for name in RUNS if name != "masking"], QUICK)
STRICT = _pairs(["defaults", "weighted-bag", "masking"], ["masking"])


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small models as the reference's own code writes them."""
    return _write_models(tmp_path_factory.mktemp("small"), small=True)


@pytest.fixture(
    scope="session", params=["small", pytest.param("published", marks=pytest.mark.full)]
)
def repo(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, and with `--full` a folder of models of the published sizes."""
    if request.param == "small":
        folder: Path = request.getfixturevalue("small")
        return folder
    return _write_models(tmp_path_factory.mktemp("published"), small=False)


def _write_models(folder: Path, *, small: bool) -> Path:
    from demucs import demucs, hdemucs, htdemucs
    from demucs.states import save_with_checksum, serialize_model
    from omegaconf import OmegaConf

    classes = {c.__name__: c for c in (demucs.Demucs, hdemucs.HDemucs, htdemucs.HTDemucs)}
    for seed, (signature, (name, changes)) in enumerate(MODELS.items()):
        preset = PRESETS[name]
        cls = classes[preset.klass.rpartition(".")[2]]
        module = cls(SOURCES, **{**preset.arguments, **(changes if small else {})})
        seed_module(module, seed)
        package = serialize_model(module, OmegaConf.create({}), half=True)
        save_with_checksum(package, folder / f"{signature}.th")
    for name, text in BAGS.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


@pytest.fixture
def clip(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Music as a WAV file at its own rate: of an MP3 each command would hear something else."""
    seconds = CHUNKS
    if request.config.getoption("--full"):
        seconds = 30
    elif "weighted" in request.node.name or "seeded" in request.node.name:
        seconds = ONE_CHUNK
    if request.param == "piece":
        rate = 48000
        samples = signals.piece(seconds, rate).T
    else:
        samples, rate = soundfile.read(MUSIC[request.param], frames=seconds * 48000)
    path = tmp_path / f"{request.param}.wav"
    soundfile.write(path, samples[: seconds * rate], rate, subtype="PCM_16")
    return path


@pytest.mark.live
@pytest.mark.parametrize(("run", "clip"), SINGLE, indirect=["clip"])
def test_the_same_stems(run: str, repo: Path, clip: Path, tmp_path: Path) -> None:
    """SNR of the float32 stems, and what PCM of 16 bits makes of them.

    The SNR of the PCM itself would say how loud a stem is: one step in a thousand samples is
    noise of 0.03 steps.
    """
    pairs = _both(run, repo, clip, tmp_path, [], "float32", "--float32")
    for name, (found, wanted) in pairs.items():
        snr = snr_db(found.astype(np.float64), wanted.astype(np.float64))
        equal, furthest = _steps_apart(_pcm(found), _pcm(wanted))
        print(f"{run} {clip.stem} {name}: {snr:.1f} dB, {equal:.3%} equal, {furthest} apart")
        assert np.abs(wanted).max() > 0.01  # there is something to compare
        assert snr >= 96
        assert equal >= 0.95
        assert furthest <= 1


@pytest.mark.live
@pytest.mark.parametrize("clip", CLIPS[:1], indirect=True)
def test_the_files_hold_that_pcm(small: Path, clip: Path, tmp_path: Path) -> None:
    """16 bits out of either command are its float32 stems, cut off towards zero."""
    floats = _both("time-domain", small, clip, tmp_path, [], "float32", "--float32")
    integers = _both("time-domain", small, clip, tmp_path / "pcm", [], "int16")
    for name, pair in integers.items():
        for side in range(2):
            assert np.array_equal(pair[side], _pcm(floats[name][side]))


@pytest.mark.live
@pytest.mark.parametrize(("run", "clip"), STRICT, indirect=["clip"])
def test_the_same_files_in_float64(run: str, small: Path, clip: Path, tmp_path: Path) -> None:
    with reference_in_float64():
        pairs = _both(run, small, clip, tmp_path, ["--dtype", "float64"], "int16")
    for name, pair in pairs.items():
        equal, furthest = _steps_apart(*pair)
        print(f"{run} {clip.stem} {name}: {equal:.5%} equal, {furthest} apart")
        assert np.abs(pair[1].astype(int)).max() > 300
        assert equal >= 0.99999
        assert furthest <= 1


# A script of a user, with the generator seeded before anything of ours is there.
SEEDED = """
import random
import numpy as np
random.seed({seed})
import demucs_tf
separator = demucs_tf.Separator("weighted", repo={repo!r}, shifts=2, device="cpu")
np.savez({out!r}, **separator.separate_file({clip!r})[1], drawn=random.random())
"""
# What a long session has done before.
OTHERS = """
import demucs_tf
import numpy as np
other = demucs_tf.Separator("timedom1", repo={repo!r})
other.separate_tensor(np.ones((2, 50000), np.float32))
demucs_tf.DemucsTF(["a", "b"], channels=4, depth=2)
demucs_tf.load_model("one_hot", repo={repo!r})
"""


@pytest.mark.live
@pytest.mark.parametrize(
    "before",
    [
        pytest.param("", id="fresh"),
        pytest.param(OTHERS, id="after-others", marks=pytest.mark.full),
    ],
)
@pytest.mark.parametrize("clip", CLIPS[:1], indirect=True)
def test_a_seeded_script_gets_what_it_gets_from_demucs(
    before: str, small: Path, clip: Path, tmp_path: Path
) -> None:
    """`random.seed`, and then a Separator: the same script but for the import."""
    out = tmp_path / "stems.npz"
    script = (before + SEEDED).format(repo=str(small), clip=str(clip), out=str(out), seed=SEED)
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    narrow, drawn = _seeded_reference(small, clip)
    with reference_in_float64():
        wide, _ = _seeded_reference(small, clip)
    with np.load(out) as found:
        assert found["drawn"] == drawn
        for name, stem in wide.items():
            floor = relative_l2(narrow[name], stem)
            difference = compare(found[name], stem, FACTOR * floor, floor, "float32")
            print(f"{name}: noise ratio {difference.noise_ratio}")
            assert difference.passed, difference


def _seeded_reference(repo: Path, clip: Path) -> tuple[dict[str, Array], float]:
    """The stems of the reference, and what its generator gives next."""
    from demucs.api import Separator

    random.seed(SEED)
    separator = Separator("weighted", repo=repo, shifts=2, device="cpu")
    _, stems = separator.separate_audio_file(clip)
    return {name: stem.numpy() for name, stem in stems.items()}, random.random()


def _pcm(samples: Array) -> Array:
    """As demucs/audio.py::_pcm_bytes."""
    return (np.clip(samples, -1, 1) * (2**15 - 1)).astype(np.int16)


def _steps_apart(found: Array, wanted: Array) -> tuple[float, int]:
    """The share of equal samples, and the largest difference."""
    apart = np.abs(found.astype(int) - wanted)
    return float(np.mean(apart == 0)), int(apart.max())


def _both(
    run: str, repo: Path, clip: Path, folder: Path, ours: list[str], dtype: str, *both: str
) -> dict[str, tuple[Array, Array]]:
    """Both commands; for each file what ours and the reference's has in it."""
    name, options, short = RUNS[run]
    if short:
        samples, rate = soundfile.read(clip, frames=4 * 48000, dtype="int16")
        soundfile.write(clip, samples[: 4 * rate], rate, subtype="PCM_16")
    common = [str(clip), "-n", name, "--repo", str(repo), *options, *both]
    _reference([*common, "-o", str(folder / "theirs"), "-d", "cpu"])
    given = ["separate", *common, "-o", str(folder / "ours"), "--seed", str(SEED), *ours]
    assert main(given) == 0
    pairs: dict[str, tuple[Array, Array]] = {}
    mine, theirs = (folder / side / name / clip.stem for side in ("ours", "theirs"))
    assert sorted(p.name for p in mine.iterdir()) == sorted(p.name for p in theirs.iterdir())
    for path in sorted(theirs.iterdir()):
        wanted, rate = soundfile.read(path, dtype=dtype)
        found, our_rate = soundfile.read(mine / path.name, dtype=dtype)
        assert our_rate == rate
        assert found.shape == wanted.shape
        pairs[path.stem] = found, wanted
    return pairs


def _reference(arguments: list[str]) -> None:
    from demucs.separate import main as separate

    random.seed(SEED)
    separate(arguments)


@contextmanager
def reference_in_float64() -> Iterator[None]:
    """Let the reference's Separator load, compute and sum in float64."""
    import torch
    from demucs import api

    def load_model(self: Any) -> None:
        loaded(self)
        self._model.double()

    def load_audio(self: Any, track: Path) -> Any:
        samples, rate = soundfile.read(track, dtype="float32", always_2d=True)
        wav = torch.from_numpy(samples.T.copy()).double()
        return api.convert_audio(wav, rate, self._samplerate, self._audio_channels)

    def separate_tensor(self: Any, *arguments: Any) -> Any:
        with sums_in_float64(*getattr(self._model, "models", [self._model])):
            return separated(self, *arguments)

    loaded, separated = api.Separator._load_model, api.Separator.separate_tensor
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api.Separator, "_load_model", load_model)
        patch.setattr(api.Separator, "_load_audio", load_audio)
        patch.setattr(api.Separator, "separate_tensor", separate_tensor)
        yield
