"""Names of models, folders of models, checksums, and the table of the published models."""

from __future__ import annotations

import json
import logging
import os
import threading
from pathlib import Path

import pytest

import demucs_tf
from demucs_tf.checkpoints.formats.bag_yaml import read_bag
from demucs_tf.checkpoints.locate import list_models, locate
from demucs_tf.checkpoints.sources import checksums, hub, legacy_host
from demucs_tf.checkpoints.sources.checksums import sha256
from demucs_tf.checkpoints.sources.downloads import check_record, forget_record, records_file
from demucs_tf.checkpoints.sources.folder import not_there, scan
from demucs_tf.checkpoints.sources.published import BAGS, LEGACY_FILES, bag_with
from demucs_tf.errors import CheckpointError, ModelNotFoundError
from demucs_tf.models.bag import Bag
from demucs_tf.models.ranges import is_plain_name
from demucs_tf.utils import cache

# SHA-256 of "abc": FIPS 180-2, appendix B.1.
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DEMUCS_TF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")  # nothing here may get there


@pytest.fixture(name="repo")
def _repo(tmp_path: Path) -> Path:
    """A folder of models, which hold only "abc"."""
    folder = tmp_path / "repo"
    folder.mkdir()
    for name in ("aaaa.th", f"bbbb-{ABC[:8]}.th", "cccc.safetensors", f"dddd-{ABC}.safetensors"):
        (folder / name).write_bytes(b"abc")
    (folder / "pair.yaml").write_text("models: [aaaa, dddd, aaaa]\nsegment: 3\n")
    (folder / "broken.yaml").write_text("models: [aaaa, eeee]\n")
    (folder / "notes.txt").write_text("not looked at")
    (folder / ".half-written.th").write_text("not looked at")
    (folder / "folder.th").mkdir()
    return folder


# --- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "guess"),
    [("htdemux", "htdemucs"), ("htdemucs_tf", "htdemucs_ft"), ("955717e9", "955717e8")],
)
def test_an_unknown_name_is_answered_with_close_ones(name: str, guess: str) -> None:
    with pytest.raises(ModelNotFoundError) as caught:
        locate(name)
    message = str(caught.value)
    assert message.startswith(
        f"No published model {name!r}. Did you mean {guess}? There is: {guess}"
    )
    assert all(known in message for known in BAGS)
    assert "hf://NAMESPACE/NAME" in message
    with pytest.raises(ModelNotFoundError, match="No published model"):
        demucs_tf.load_model(name)


def test_a_long_list_of_names_is_cut() -> None:
    message = str(not_there("x" * 999, [f"model{i}" for i in range(1000)], "No model"))
    assert " and 960 more" in message
    assert len(message) < 1000


@pytest.mark.parametrize("name", ["no/such", "../htdemucs", "/etc/passwd", "a\\b", "gone.th"])
def test_a_name_with_separators_or_a_suffix_is_a_file(name: str, repo: Path) -> None:
    for folder in (None, repo):
        if name != "/etc/passwd":
            with pytest.raises(ModelNotFoundError, match="no such file"):
                locate(name, folder)
    with pytest.raises(CheckpointError, match=r"wanted a file of the kinds \.th"):
        locate("/etc/passwd", repo)


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".hidden", "a/b", "a\\b", "c:a", "a\0", "a\n", "a" * 101]
)
def test_names_that_are_not_plain(name: str) -> None:
    assert not is_plain_name(name)
    assert is_plain_name("955717e8")


def test_a_path_is_a_file_whatever_it_looks_like(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="htdemucs: no such file"):
        locate(Path("htdemucs"))
    for suffix in (".wav", ""):
        path = tmp_path / f"there{suffix}"
        path.write_bytes(b"x")
        with pytest.raises(CheckpointError, match=r"wanted a file of the kinds \.th, .*\.yaml"):
            locate(path)


def test_a_wrong_dtype_is_refused_first() -> None:
    with pytest.raises(ValueError, match='dtype must be "float32" or "float64"'):
        demucs_tf.load_model("htdemucs", dtype="float16")


# --- folders ----------------------------------------------------------------------------------


def test_models_of_a_folder(repo: Path) -> None:
    assert scan(repo).bags == {"broken": repo / "broken.yaml", "pair": repo / "pair.yaml"}
    assert scan(repo).models == {
        "aaaa": repo / "aaaa.th",
        "bbbb": repo / f"bbbb-{ABC[:8]}.th",
        "cccc": repo / "cccc.safetensors",
        "dddd": repo / f"dddd-{ABC}.safetensors",
    }
    for signature, path in scan(repo).models.items():
        (file,) = locate(signature, str(repo)).files.values()
        assert (file.path, file.discard) == (path, None)


@pytest.mark.parametrize("by_path", [False, True])
def test_a_bag_of_a_folder(repo: Path, by_path: bool) -> None:
    found = locate(repo / "pair.yaml") if by_path else locate("pair", repo)
    assert found.bag == Bag(("aaaa", "dddd", "aaaa"), segment=3)
    assert {name: file.path for name, file in found.files.items()} == {
        "aaaa": repo / "aaaa.th",
        "dddd": repo / f"dddd-{ABC}.safetensors",
    }


def test_what_a_folder_lacks(repo: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"has no model 'htdemucs'. There is: aaaa, bbbb"):
        locate("htdemucs", repo)
    with pytest.raises(ModelNotFoundError, match=r"has no model 'pear'. Did you mean pair\?"):
        locate("pear", repo)
    with pytest.raises(ModelNotFoundError, match=r"broken: a member .* has no model 'eeee'"):
        locate("broken", repo)
    for folder in (repo / "none", repo / "notes.txt"):
        with pytest.raises(ModelNotFoundError, match="wanted a folder of models"):
            locate("aaaa", folder)


def test_a_checksum_in_a_name_is_checked(repo: Path) -> None:
    for name in (f"bbbb-{ABC[:8]}.th", f"dddd-{ABC}.safetensors"):
        (repo / name).write_bytes(b"abd")
        with pytest.raises(CheckpointError, match=r"expected a file whose SHA-256 starts with ba"):
            locate(name[:4], repo)
    assert locate("aaaa", repo)  # the others are not touched
    with pytest.raises(CheckpointError, match="SHA-256 starts with"):
        locate("pair", repo)


@pytest.mark.parametrize("digits", [0, 1, 7, 63])
def test_a_checksum_of_any_length(repo: Path, digits: int) -> None:
    (repo / f"ffff-{ABC[:digits]}.th").write_bytes(b"abc")
    assert locate("ffff", repo)
    (repo / f"eeee-{digits * '0'}.th").write_bytes(b"abc")
    if digits:
        with pytest.raises(CheckpointError, match="SHA-256 starts with"):
            locate("eeee", repo)


def test_a_name_with_a_dash_and_no_checksum(repo: Path) -> None:
    (repo / "my-model.th").write_bytes(b"abc")
    with pytest.raises(CheckpointError, match=r"found 'model'. Rename it to SIGNATURE\.th"):
        locate("my", repo)
    assert locate(repo / "my-model.th")  # given by its path, its name means nothing


@pytest.mark.parametrize("double", ["aaaa-ba.th", "dddd.safetensors", f"bbbb-{ABC}.th"])
def test_two_files_for_a_signature(repo: Path, double: str) -> None:
    (repo / double).write_bytes(b"abc")
    for source in ("cccc", "pair", repo / "pair.yaml"):
        with pytest.raises(CheckpointError, match=rf"one file for each signature.*{double[:4]}"):
            locate(source, repo)


@pytest.mark.parametrize(
    ("double", "used"),
    [
        ("aaaa.safetensors", "aaaa.safetensors"),
        (f"bbbb-{ABC}.safetensors", f"bbbb-{ABC}.safetensors"),
        ("cccc.th", "cccc.safetensors"),
        ("dddd-00.th", f"dddd-{ABC}.safetensors"),
    ],
)
def test_two_formats_for_a_signature(
    repo: Path, caplog: pytest.LogCaptureFixture, double: str, used: str
) -> None:
    """`convert aaaa.th aaaa.safetensors` leaves the folder as usable as it was."""
    (repo / double).write_bytes(b"abc")
    assert list_models(repo)["single"][double[:4]] == repo / used
    assert not caplog.messages
    assert locate(double[:4], repo).files[double[:4]].path == repo / used
    (message,) = caplog.messages
    assert f"{used} is used, " in message
    assert double in message


def test_a_bag_does_not_reach_out_of_its_folder(repo: Path) -> None:
    inner = repo / "inner"
    inner.mkdir()
    for member in ("../aaaa", str(repo / "aaaa"), "..", "inner/../../aaaa"):
        (inner / "bag.yaml").write_text(json.dumps({"models": [member]}))
        with pytest.raises(CheckpointError, match="wanted the signature of a model"):
            locate(inner / "bag.yaml")


# --- checksums and their records --------------------------------------------------------------


def test_sha256_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert sha256(path) == ABC
    # A million times "a": FIPS 180-2, appendix B.3.
    path.write_bytes(b"a" * 1_000_000)
    assert sha256(path) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
    assert os.path.getsize(path) < checksums._BLOCK
    path.write_bytes(b"a" * (checksums._BLOCK + 5))
    first = sha256(path)
    path.write_bytes(b"a" * (checksums._BLOCK + 4) + b"b")
    assert sha256(path) != first


def test_records(tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert check_record("hf://a", path, "1" * 64) is True
    assert check_record("hf://b", path, "2" * 64) is True
    assert check_record("hf://a", path, "1" * 64) is False
    with pytest.raises(CheckpointError) as caught:
        check_record("hf://a", path, "2" * 64)
    for part in ("hf://a", str(path), "1" * 64, "2" * 64, str(records_file())):
        assert part in str(caught.value)
    forget_record("hf://a")
    forget_record("hf://never recorded")
    assert json.loads(records_file().read_text()) == {"hf://b": "2" * 64}


def test_records_made_at_once_are_all_kept(tmp_path: Path) -> None:
    def record(index: int) -> None:
        check_record(f"hf://{index}", tmp_path, f"{index}")

    threads = [threading.Thread(target=record, args=(index,)) for index in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert json.loads(records_file().read_text()) == {f"hf://{i}": f"{i}" for i in range(24)}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": 1}', "[" * 10**5, b"\xff\xff"])
def test_damaged_records(tmp_path: Path, content: str | bytes) -> None:
    records_file().parent.mkdir()
    records_file().write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(CheckpointError, match=r"checksums\.json: .* Delete the file"):
        check_record("hf://a", tmp_path, "1")


def test_records_that_can_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a file").write_text("")
    monkeypatch.setenv("DEMUCS_TF_CACHE", str(tmp_path / "a file" / "cache"))
    assert check_record("hf://a", tmp_path, "1") is True
    forget_record("hf://a")
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "can't record the checksum of hf://a" in caplog.messages[0]


def test_the_cache_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache.cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("DEMUCS_TF_CACHE")
    monkeypatch.setattr(cache.platformdirs, "user_cache_path", lambda name: tmp_path / name)
    assert cache.cache_folder() == tmp_path / "demucs_tf"
    monkeypatch.setenv("DEMUCS_TF_CACHE", "~/x")
    assert cache.cache_folder() == Path.home() / "x"


# --- the published models ---------------------------------------------------------------------


def test_the_table_agrees_with_itself() -> None:
    assert {member for bag in BAGS.values() for member in bag.models} == set(LEGACY_FILES)
    for signature, file in LEGACY_FILES.items():
        assert Path(file).name.startswith(f"{signature}-")
        assert signature in BAGS[bag_with(signature)].models
        assert legacy_host.cached_path(signature).name == Path(file).name
    for bag in BAGS.values():
        assert bag.weights is None or [len(row) for row in bag.weights] == [4] * len(bag.models)


def test_list_models(repo: Path, tmp_path: Path) -> None:
    assert list_models(repo) == {"single": scan(repo).models, "bag": scan(repo).bags}
    published = list_models()
    assert published["bag"]["htdemucs_ft"] == "hf://adefossez/htdemucs_ft"
    assert list(published["bag"]) == list(BAGS)
    with pytest.raises(ModelNotFoundError, match="wanted a folder"):
        list_models(tmp_path / "none")


def test_the_specialists_are_in_order() -> None:
    """An earlier port had the bag table of htdemucs_ft shifted by one."""
    members = ("f7e0c4bc", "d12395a8", "92cfc3b6", "04573f0d")  # drums, bass, other, vocals
    rows = tuple(tuple(float(row == column) for column in range(4)) for row in range(4))
    assert BAGS["htdemucs_ft"] == Bag(members, rows)


@pytest.mark.live
def test_the_table_is_the_references() -> None:
    from demucs import pretrained
    from demucs.hf import DEFAULT_NAMESPACE, hf_repo_name

    assert {path.stem: read_bag(path) for path in pretrained.REMOTE_ROOT.glob("*.yaml")} == BAGS
    assert len(BAGS) == 11
    theirs = pretrained._parse_remote_files(pretrained.REMOTE_ROOT / "files.txt")
    assert {name: legacy_host.ROOT + file for name, file in LEGACY_FILES.items()} == theirs
    assert len(theirs) == 27
    assert legacy_host.ROOT == pretrained.ROOT_URL
    for name in [*BAGS, "something_else"]:
        assert hub.repository(name) == f"{DEFAULT_NAMESPACE}/{hf_repo_name(name)}"


@pytest.mark.live
def test_list_models_is_the_references(repo: Path) -> None:
    from demucs.api import list_models as reference

    for suffix in (".safetensors", ".txt"):  # which the reference does not list, or not look at
        for path in repo.glob(f"*{suffix}"):
            path.unlink()
    (repo / ".half-written.th").unlink()
    (repo / "folder.th").rmdir()
    assert list_models(repo) == reference(repo)
    assert list_models()["single"] == reference()["single"]
    assert set(list_models()["bag"]) == set(reference()["bag"])
