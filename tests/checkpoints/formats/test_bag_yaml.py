"""Bags in files: what they may say, and that the models come together as they say."""

from __future__ import annotations

import json
import logging
import tracemalloc
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import demucs_tf
from demucs_tf.checkpoints.formats.bag_yaml import bag_text, read_bag
from demucs_tf.checkpoints.load import make_bag
from demucs_tf.checkpoints.locate import locate
from demucs_tf.checkpoints.sources.published import BAGS
from demucs_tf.checkpoints.weights import read_state
from demucs_tf.errors import CheckpointError, ModelNotFoundError
from demucs_tf.models.bag import Bag
from parity.core.compare import compare
from tests.support.fakes import FakeTF, noise
from tests.support.hub_server import HubServer, loopback
from tests.support.tiny_models import (
    ARGUMENTS,
    SOURCES,
    TRANSFORMER,
    tiny_bytes,
    tiny_model,
    write_tiny,
)


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "bag.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


# --- what a file may say ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "bag"),
    [
        ("models: ['955717e8']", Bag(("955717e8",))),
        ("models: [04573f0d, a]\nsegment: 44", Bag(("04573f0d", "a"), segment=44)),
        ("models:\n- a\n- a\nsegment: 7.8", Bag(("a", "a"), segment=7.8)),
        ("models: [a, b]\nweights: [[1, 0.5], [-2., 10]]", Bag(("a", "b"), ((1, 0.5), (-2, 10)))),
        ("models: [a]\nweights: null\nsegment: ~\nlicense: MIT", Bag(("a",))),
        ('{"models": ["a"], "weights": [[1]]}', Bag(("a",), ((1,),))),
    ],
)
def test_bags_that_can_be_read(tmp_path: Path, text: str, bag: Bag) -> None:
    assert read_bag(write(tmp_path, text)) == bag


@pytest.mark.parametrize("name", list(BAGS))
def test_a_bag_survives_being_written(tmp_path: Path, name: str) -> None:
    text = bag_text(BAGS[name])
    assert read_bag(write(tmp_path, text)) == BAGS[name]
    content = yaml.safe_load(text)  # as the reference reads it
    assert content["models"] == list(BAGS[name].models)
    assert content.get("segment") == BAGS[name].segment


MANY = ", ".join("a" for _ in range(65))
ALIASES = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} {{<<: [{', '.join(['*' + chr(97 + i)] * 9)}]}}\n"
    for i in range(9)
)
HOSTILE: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "wanted a bag: .* found a NoneType"),
    "a list": ("[a, b]", "found a list"),
    "a text": ("models", "found a str"),
    "no models": ("segment: 44", "found a dict without it"),
    "models as text": ("models: abc", "wanted 1 to 64 signatures"),
    "models as a mapping": ("models: {a: b}", "wanted 1 to 64 signatures .* found dict"),
    "no member": ("models: []", "found 0 of them"),
    "too many members": (f"models: [{MANY}]", "found 65 of them"),
    "a million members": ("models: [" + "a, " * 10**6 + "a]", "more than 16384 bytes"),
    "a long file": (b"#" * 10**7, "more than 16384 bytes"),
    "a number as signature": ("models: [12345678]", "wanted text .*a int"),
    "a list as signature": ("models: [[a]]", "wanted text .*a list"),
    "nothing as signature": ("models: [null]", "wanted text"),
    "a path": ("models: [../a]", "wanted the signature of a model in the bag's folder"),
    "an absolute path": ("models: [/etc/passwd]", "wanted the signature"),
    "a windows path": ("models: ['C:\\a']", "wanted the signature"),
    "the parent": ("models: ['..']", "wanted the signature"),
    "an empty name": ("models: ['']", "wanted the signature"),
    "an escape": ('models: ["a\\e[31m"]', r"found 'a\\x1b\[31m'"),
    "a zero byte in a name": ('models: ["a\\0"]', "wanted the signature"),
    "a long name": (f"models: [{'a' * 5000}]", "wanted the signature"),
    "weights as text": ("models: [a]\nweights: abc", "wanted a row of .* found str"),
    "too few weights": ("models: [a, b]\nweights: [[1]]", "for each of 2 models, found 1"),
    "too many weights": ("models: [a]\nweights: [[1], [1]]", "for each of 1 models, found 2"),
    "weights in one row": ("models: [a]\nweights: [1]", "wanted rows of finite numbers"),
    "weights of text": ("models: [a]\nweights: [['1']]", "wanted rows of finite numbers"),
    "weights of truth": ("models: [a]\nweights: [[true]]", "wanted rows of finite numbers"),
    "weights of nothing": ("models: [a]\nweights: [[null]]", "wanted rows of finite numbers"),
    "a weight that is none": ("models: [a]\nweights: [[.nan]]", "wanted rows of finite numbers"),
    "an infinite weight": ("models: [a]\nweights: [[-.inf]]", "wanted rows of finite numbers"),
    "a huge weight": (f"models: [a]\nweights: [[{'9' * 4000}]]", "wanted rows of finite numbers"),
    "a date as weight": ("models: [a]\nweights: [[2001-01-01]]", "wanted rows of finite"),
    "ragged weights": ("models: [a, b]\nweights: [[1], [1, 1]]", "several lengths"),
    "no time": ("models: [a]\nsegment: 0", "seconds above 0"),
    "time backwards": ("models: [a]\nsegment: -1", "seconds above 0"),
    "time without end": ("models: [a]\nsegment: .inf", "seconds above 0"),
    "time as text": ("models: [a]\nsegment: '44'", "seconds above 0"),
    "time as truth": ("models: [a]\nsegment: true", "seconds above 0"),
    "a tag": ("models: !!python/object/apply:os.system ['true']", "without YAML tags"),
    "a tag of a name": ("!!python/name:os.system ''", "without YAML tags"),
    "a tag of its own": ("models: !include /etc/passwd", "without YAML tags"),
    "an alias": ("models: &m [a]\nweights: *m", "without YAML aliases"),
    "an alias of itself": ("&m [*m]", "without YAML aliases"),
    "a bomb of aliases": (ALIASES, "without YAML aliases"),
    "a bomb of merges": (MERGES, "without YAML aliases"),
    "depth": ("models: " + "[" * 5000, "nested more deeply"),
    "depth of mappings": ("{a: " * 3000, "nested more deeply"),
    "models twice": ("models: [a]\nmodels: [b]", "found `models` twice"),
    "models twice, once in quotes": ('models: [a]\n"models": [b]', "found `models` twice"),
    "something unknown twice": ("models: [a]\nx: 1\nx: 2", "found `x` twice"),
    "a key of a mapping twice": ("models: [a]\nx: {y: 1, y: 2}", "found `y` twice"),
    "a merge": ("models: [a]\n<<: {models: [b]}", "without YAML merges"),
    "a weight that overflows": ("models: [a]\nweights: [[1.e+60]]", "0 or from 1e-12 to 1e.12"),
    "a weight that underflows": ("models: [a]\nweights: [[-1.e-60]]", "0 or from 1e-12 to 1e.12"),
    "several documents": ("models: [a]\n---\nmodels: [b]", "no readable YAML"),
    "no YAML": ("models: [a", "no readable YAML"),
    "a tab": ("models:\n\t- a", "no readable YAML"),
    "no text": (b"\xff\xfe\x00\x01", "no readable YAML"),
    "a zero byte": (b"models: [a]\0", "no readable YAML"),
    "a huge whole number": (f"models: [a]\nsegment: {'9' * 10_000}", "no readable YAML"),
    "a key that is a list": ("models: [a]\n? [b]\n: c", "no readable YAML"),
    "a bad date": ("models: [a]\nsegment: 2001-99-99", "no readable YAML"),
}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_bags_that_are_refused(tmp_path: Path, name: str) -> None:
    text, match = HOSTILE[name]
    path = write(tmp_path, text)
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=match) as caught:
            read_bag(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert len(message) < 600
    assert message.isprintable()
    assert peak < 8 * 2**20


def test_files_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="no such file"):
        read_bag(tmp_path / "none.yaml")
    with pytest.raises(CheckpointError, match="can't be read"):
        read_bag(tmp_path)


def test_models_that_do_not_fit_their_bag() -> None:
    models = [FakeTF(), FakeTF()]
    for weights in (((1.0, 0.0), (0.0, 1.0)), ((1.0, 0.0, 0.0), (-1.0, 1.0, 1.0))):
        with pytest.raises(CheckpointError, match=r"^mine: the bag does not fit its models\. "):
            make_bag(Bag(("a", "b"), weights), models, "mine")
    for weights in (
        ((1e60,) * 3, (1.0,) * 3),
        ((1e-60,) * 3,) * 2,
        ((1.0,) * 3, (-1 - 1e-15,) * 3),
    ):
        with pytest.raises(CheckpointError, match=r"0 or from 1e-12 to 1e\+12|add up to 0"):
            make_bag(Bag(("a", "b"), weights), models, "mine")
    with pytest.raises(CheckpointError, match="must agree in audio_channels"):
        make_bag(Bag(("a", "b")), [FakeTF(), FakeTF(audio_channels=1)], "mine")


# --- what load_model makes of it --------------------------------------------------------------


def same_weights(model: Any, other: Any) -> bool:
    mine, others = read_state(model), read_state(other)
    return all(np.array_equal(mine[key], others[key]) for key in {*mine, *others})


def test_members_weights_and_segment(tmp_path: Path) -> None:
    repo = write_tiny(tmp_path / "repo", "aaaa", "bbbb")
    rows = [[1.0, 0.0, 0.5, 1.0], [0.0, 1.0, 0.5, 2.0], [3.0, 0.0, 1.0, 0.0]]
    content = {"models": ["bbbb", "aaaa", "bbbb"], "weights": rows, "segment": 3}
    (repo / "mine.yaml").write_text(json.dumps(content))
    for bag in (demucs_tf.load_model("mine", repo), demucs_tf.load_model(repo / "mine.yaml")):
        assert isinstance(bag, demucs_tf.BagOfModels)
        assert bag.sources == SOURCES
        assert np.array_equal(bag.weights, rows)
        assert bag.models[0] is bag.models[2]  # once in memory
        assert [model.segment for model in bag.models] == [3, 3, 3]
        assert same_weights(bag.models[0], tiny_model(1))
        assert same_weights(bag.models[1], tiny_model(0))


def test_a_bag_in_double_precision(tmp_path: Path) -> None:
    repo = write_tiny(tmp_path / "repo", "aaaa")
    (repo / "mine.yaml").write_text("models: [aaaa]")
    bag = demucs_tf.load_model("mine", repo, dtype="float64")
    assert bag.compute_dtype == "float64"
    assert {str(variable.dtype) for variable in bag.models[0].variables} == {"float64"}


def test_a_signature_of_a_folder_is_one_model(tmp_path: Path) -> None:
    repo = write_tiny(tmp_path / "repo", "aaaa", "bbbb")
    (repo / "aaaa.yaml").write_text("models: [bbbb]")  # a model goes before a bag of its name
    model = demucs_tf.load_model("aaaa", repo)
    assert isinstance(model, demucs_tf.DemucsTF)
    assert same_weights(model, tiny_model(0))


def test_a_segment_longer_than_the_training_is_left_out(tmp_path: Path) -> None:
    """Reference: demucs/apply.py:54-60."""
    from safetensors.numpy import save_file

    repo = write_tiny(tmp_path / "repo", "aaaa")
    metadata = {
        "klass": "demucs.htdemucs.HTDemucs",
        "args": "[]",
        "kwargs": json.dumps({"sources": SOURCES, **TRANSFORMER}),
    }
    transformer = demucs_tf.HTDemucsTF(SOURCES, **TRANSFORMER)
    save_file(read_state(transformer), repo / "bbbb.safetensors", metadata)
    for segment, wanted in ((5, [5, 0.4]), (0.25, [0.25, 0.25])):
        (repo / "mine.yaml").write_text(f"models: [aaaa, bbbb]\nsegment: {segment}")
        bag = demucs_tf.load_model("mine", repo)
        assert [float(Fraction(model.segment)) for model in bag.models] == pytest.approx(wanted)


def test_a_damaged_member_is_named(tmp_path: Path) -> None:
    repo = write_tiny(tmp_path / "repo", "aaaa", "bbbb")
    (repo / "mine.yaml").write_text("models: [aaaa, bbbb]")
    (repo / "bbbb.safetensors").write_bytes(b"no model")
    with pytest.raises(CheckpointError, match=r"bbbb\.safetensors: "):
        demucs_tf.load_model("mine", repo)


def test_members_of_different_kinds(tmp_path: Path) -> None:
    repo = write_tiny(tmp_path / "repo", "aaaa")
    (repo / "bbbb.safetensors").write_bytes(tiny_bytes(1, sources=("a", "b")))
    (repo / "mine.yaml").write_text("models: [aaaa, bbbb]")
    with pytest.raises(CheckpointError, match=r"mine: the bag does not fit .* agree in sources"):
        demucs_tf.load_model("mine", repo)


@pytest.fixture(name="server")
def _server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """The hub with htdemucs_ft, of tiny models: its members' seeds are 0 to 3 in its order."""
    with loopback(monkeypatch, tmp_path) as server:
        repository = "adefossez/HTDemucs-ft"
        bag = BAGS["htdemucs_ft"]
        server.files[f"{repository}/htdemucs_ft.yaml"] = bag_text(bag).encode()
        for seed, signature in enumerate(bag.models):
            server.files[f"{repository}/{signature}.safetensors"] = tiny_bytes(seed)
        yield server


def test_each_specialist_gives_its_own_stem(
    server: HubServer, caplog: pytest.LogCaptureFixture
) -> None:
    """By name, from the hub to the stems; an earlier port had them shifted by one."""
    caplog.set_level(logging.WARNING, "demucs_tf")
    bag = demucs_tf.load_model("htdemucs_ft")
    assert not caplog.messages
    mix = noise(1, 2, 500)
    stems = demucs_tf.apply_model(bag, mix, shifts=0, engine="eager")
    alone = [
        demucs_tf.apply_model(tiny_model(seed), mix, shifts=0, engine="eager")[:, seed]
        for seed in range(4)
    ]
    for stem, model in enumerate(alone):
        assert np.array_equal(stems[:, stem], model)
        assert not compare(stems[:, (stem + 1) % 4], model, tolerance=0.1).passed
    single = demucs_tf.load_model("92cfc3b6")
    assert isinstance(single, demucs_tf.DemucsTF)
    assert np.array_equal(
        demucs_tf.apply_model(single, mix, shifts=0, engine="eager")[:, 2], stems[:, 2]
    )
    assert locate("htdemucs_ft").bag == BAGS["htdemucs_ft"]


# --- against the reference --------------------------------------------------------------------


def write_references(folder: Path) -> Path:
    """A folder as the reference's users have it, made by the reference."""
    import torch
    from demucs import states
    from demucs.demucs import Demucs
    from omegaconf import OmegaConf

    folder.mkdir()
    for seed, signature in enumerate(("aaaa", "bbbb")):
        torch.manual_seed(seed)
        model = Demucs(SOURCES, **ARGUMENTS)
        package = states.serialize_model(model, OmegaConf.create({}), half=bool(seed))
        states.save_with_checksum(package, folder / f"{signature}.th")
    return folder


@pytest.mark.live
@pytest.mark.parametrize(
    "text",
    [
        "models: [aaaa, bbbb]",
        "models: [bbbb, aaaa, bbbb]\nsegment: 1",
        "models: [aaaa, bbbb]\nweights: [[1, 0, 2, 1], [0, 1, 0.5, 1]]\nsegment: 0.01",
    ],
)
def test_a_folder_gives_what_it_gives_the_reference(tmp_path: Path, text: str) -> None:
    import torch
    from demucs.apply import apply_model
    from demucs.pretrained import get_model

    repo = write_references(tmp_path / "repo")
    (repo / "mine.yaml").write_text(text)
    theirs, ours = get_model("mine", repo), demucs_tf.load_model("mine", repo)
    assert np.array_equal(ours.weights, theirs.weights)
    assert [m.segment for m in ours.models] == [m.segment for m in theirs.models]
    mix = noise(1, 2, 3001)
    with torch.no_grad():
        wanted = apply_model(theirs, torch.from_numpy(mix), shifts=0).numpy()
    found = demucs_tf.apply_model(ours, mix, shifts=0, engine="eager")
    difference = compare(found, wanted, tolerance=1e-5)  # an SNR of 100 dB
    assert difference.passed, difference


@pytest.mark.live
def test_a_damaged_file_of_a_folder_is_refused_by_both(tmp_path: Path) -> None:
    from demucs.pretrained import ModelLoadingError, get_model

    repo = write_references(tmp_path / "repo")
    (path,) = repo.glob("aaaa-*.th")
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ModelLoadingError, match="Invalid checksum"):
        get_model("aaaa", repo)
    with pytest.raises(CheckpointError, match="expected a file whose SHA-256 starts with"):
        demucs_tf.load_model("aaaa", repo)
