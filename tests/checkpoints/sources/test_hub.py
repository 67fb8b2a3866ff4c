"""Models from the Hugging Face hub: a server on loopback stands for it, sound and otherwise."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from demucs_tf.checkpoints.load import load_model
from demucs_tf.checkpoints.locate import Located, locate
from demucs_tf.checkpoints.sources import hub
from demucs_tf.checkpoints.sources.checksums import sha256
from demucs_tf.checkpoints.sources.downloads import records_file
from demucs_tf.errors import CheckpointError, ModelNotFoundError
from demucs_tf.models.bag import Bag
from tests.support.hub_server import (
    Behaviour,
    HubServer,
    environment,
    forget_huggingface_hub,
    loopback,
)

REPOSITORY = "adefossez/HTDemucs"
YAML = f"{REPOSITORY}/htdemucs.yaml"
MODEL = f"{REPOSITORY}/955717e8.safetensors"
CONTENT = bytes(range(256)) * 40  # no model: nothing here reads it
MD5 = "d41d8cd98f00b204e9800998ecf8427e"  # some mirrors give such ETags, which say nothing to us


@pytest.fixture(name="server")
def _server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    with loopback(monkeypatch, tmp_path) as server:
        server.files[YAML] = b"models: ['955717e8']\n"
        server.files[MODEL] = CONTENT
        yield server


def only_file(found: Located) -> Path:
    (file,) = found.files.values()
    return file.path


def cached(tmp_path: Path, pattern: str = "*") -> list[Path]:
    """The blobs in the cache of huggingface_hub."""
    return sorted((tmp_path / "hf").glob(f"hub/models--*/blobs/{pattern}"))


def records() -> dict[str, str]:
    found: dict[str, str] = json.loads(records_file().read_text())
    return found


def go_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    forget_huggingface_hub()


# --- what is there ----------------------------------------------------------------------------


def test_a_bag_of_the_hub(
    server: HubServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "demucs_tf")
    found = locate("htdemucs")
    assert found.bag == Bag(("955717e8",))
    path = only_file(found)
    assert path.read_bytes() == CONTENT
    assert path.is_relative_to(tmp_path / "hf")
    assert f"hf://{MODEL} from {server.url}: {path}" in caplog.messages
    assert not [record for record in caplog.records if record.levelno > logging.INFO]
    assert records() == {
        f"hf://{MODEL}": sha256(path),
        f"hf://{YAML}": sha256(path.with_name("htdemucs.yaml")),
    }


def test_the_second_use_downloads_nothing(server: HubServer) -> None:
    first, asked = locate("htdemucs"), server.downloads()
    assert asked == ["955717e8.safetensors"]
    assert only_file(locate("htdemucs")) == only_file(first)
    assert server.downloads() == asked


def test_a_signature_comes_from_the_repository_of_its_bag(server: HubServer) -> None:
    found = locate("955717e8")
    assert found.bag is None
    assert only_file(found).read_bytes() == CONTENT
    server.files["adefossez/HTDemucs-ft/d12395a8.safetensors"] = b"bass"
    assert only_file(locate("d12395a8")).read_bytes() == b"bass"


def test_addresses_on_the_hub(server: HubServer) -> None:
    server.files["someone/Demucs-mine/mine.yaml"] = b"models: [a, b, a]\nsegment: 5\n"
    server.files["someone/Demucs-mine/a.safetensors"] = b"A"
    server.files["someone/Demucs-mine/b.safetensors"] = b"B"
    found = locate("hf://someone/mine", repo="never looked at")
    assert found.bag == Bag(("a", "b", "a"), segment=5)
    assert {name: file.path.read_bytes() for name, file in found.files.items()} == {
        "a": b"A",
        "b": b"B",
    }
    assert only_file(locate("hf://htdemucs")).read_bytes() == CONTENT
    assert only_file(locate("hf://adefossez/htdemucs")).read_bytes() == CONTENT


@pytest.mark.parametrize(
    "address", ["hf://", "hf://a/b/c", "hf:///a", "hf://a/", "hf://../b", "hf://a/..", "hf://a/b\n"]
)
def test_addresses_that_are_none(server: HubServer, address: str) -> None:
    with pytest.raises(ModelNotFoundError, match="wanted an address like hf://"):
        locate(address)
    assert not server.log


def test_a_bag_that_is_not_as_published_is_used_with_a_warning(
    server: HubServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.files[YAML] = b"models: ['955717e8']\nsegment: 5\n"
    assert locate("htdemucs").bag == Bag(("955717e8",), segment=5)
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "htdemucs on the hub is not the bag that was published" in warning.getMessage()
    assert "segment=5" in warning.getMessage()


def test_the_real_environment_in_a_new_process(server: HubServer, tmp_path: Path) -> None:
    code = "from demucs_tf.checkpoints.locate import locate; print(*locate('htdemucs').files)"

    def run(**changes: str) -> subprocess.CompletedProcess[str]:
        ours = {**os.environ, **environment(server, tmp_path), **changes}
        return subprocess.run(
            [sys.executable, "-c", code], env=ours, capture_output=True, text=True
        )

    offline = run(HF_HUB_OFFLINE="1")
    assert offline.returncode == 1
    assert "offline mode is on (HF_HUB_OFFLINE)" in offline.stderr.splitlines()[-1]
    assert not server.log
    assert run().stdout == "955717e8\n"
    assert server.downloads() == ["955717e8.safetensors"]
    server.log.clear()
    assert run(HF_HUB_OFFLINE="1").stdout == "955717e8\n"
    assert not server.log
    assert cached(tmp_path)
    assert (tmp_path / "ours" / "checksums.json").is_file()


# --- what is not there, or not within reach ---------------------------------------------------


@pytest.mark.parametrize("missing", [YAML, MODEL, "all"])
def test_missing_files(server: HubServer, missing: str) -> None:
    for name in [YAML, MODEL] if missing == "all" else [missing]:
        del server.files[name]
    absent = YAML if missing == "all" else missing
    with pytest.raises(ModelNotFoundError) as caught:
        locate("htdemucs")
    assert f"hf://{absent}: {server.url} does not have it" in str(caught.value)
    assert "--allow-legacy" in str(caught.value)
    assert "--repo" in str(caught.value)


def test_offline_after_a_first_use(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    path = only_file(locate("htdemucs"))
    go_offline(monkeypatch)
    server.log.clear()
    assert only_file(locate("htdemucs")) == path
    assert not server.log


def test_offline_before_it(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    go_offline(monkeypatch)
    with pytest.raises(ModelNotFoundError, match=r"not in the cache, and offline mode is on"):
        locate("htdemucs")
    assert not server.log


def test_no_server(
    server: HubServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = only_file(locate("htdemucs"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    forget_huggingface_hub()
    assert only_file(locate("htdemucs")) == path
    monkeypatch.setenv("HF_HOME", f"{path.parent}/empty")
    forget_huggingface_hub()
    with pytest.raises(ModelNotFoundError) as caught:
        locate("htdemucs")
    assert "http://127.0.0.1:1 can't be reached (" in str(caught.value)
    assert "efused" in str(caught.value)


@pytest.mark.parametrize("name", [YAML, MODEL])
def test_a_server_with_an_error(server: HubServer, tmp_path: Path, name: str) -> None:
    server.behaviours[name] = Behaviour(status=500)
    with pytest.raises((ModelNotFoundError, CheckpointError), match=r"500"):
        locate("htdemucs")
    server.behaviours.clear()
    assert only_file(locate("htdemucs")).read_bytes() == CONTENT


# --- what arrives damaged ---------------------------------------------------------------------


def test_a_download_that_breaks_off_once(server: HubServer) -> None:
    server.behaviours[MODEL] = Behaviour(cut=1)
    with suppress(CheckpointError):  # huggingface_hub 0.20 leaves the second try to us
        locate("htdemucs")
    assert only_file(locate("htdemucs")).read_bytes() == CONTENT
    assert server.downloads() == ["955717e8.safetensors"] * 2


@pytest.mark.parametrize("name", [YAML, MODEL])
def test_a_download_that_breaks_off_every_time(
    server: HubServer, tmp_path: Path, name: str
) -> None:
    server.behaviours[name] = Behaviour(cut=1000)
    with pytest.raises(CheckpointError, match=rf"hf://{name}: the download from .* failed"):
        locate("htdemucs")
    assert f"hf://{name}" not in (records() if records_file().exists() else {})
    server.behaviours.clear()
    assert only_file(locate("htdemucs")).read_bytes() == CONTENT


@pytest.mark.parametrize("name", [YAML, MODEL])
def test_wrong_bytes_are_noticed_and_do_not_stay(
    server: HubServer, tmp_path: Path, name: str
) -> None:
    server.behaviours[name] = Behaviour(corrupt=True)
    kind = "git SHA-1" if name == YAML else "SHA-256"
    with pytest.raises(CheckpointError) as caught:
        locate("htdemucs")
    message = str(caught.value)
    assert f"hf://{name}: the file arrived damaged. Expected the {kind} " in message
    assert len(set(re.findall("[0-9a-f]{40,64}", message))) == 2
    server.behaviours.clear()
    assert only_file(locate("htdemucs")).read_bytes() == CONTENT


def test_a_slow_server_is_waited_for(server: HubServer) -> None:
    server.behaviours[MODEL] = Behaviour(pause=0.5)
    assert only_file(locate("htdemucs")).read_bytes() == CONTENT


def test_a_server_that_hangs_is_given_up(
    server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "1")
    forget_huggingface_hub()
    from huggingface_hub import constants

    assert constants.HF_HUB_DOWNLOAD_TIMEOUT == 1
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.2)  # only to be quick
    server.behaviours[MODEL] = Behaviour(pause=60)
    with pytest.raises(CheckpointError, match=r"failed \(.*(timed out|Timeout)"):
        locate("htdemucs")
    server.behaviours.clear()
    assert only_file(locate("htdemucs")).read_bytes() == CONTENT


# --- trust on first use -----------------------------------------------------------------------


def test_a_file_that_changed_in_the_cache(server: HubServer, tmp_path: Path) -> None:
    path = only_file(locate("htdemucs"))
    path.resolve().write_bytes(b"something else")
    with pytest.raises(CheckpointError, match="arrived damaged"):
        locate("htdemucs")
    assert only_file(locate("htdemucs")).read_bytes() == CONTENT


def test_a_file_that_its_publisher_replaced(server: HubServer) -> None:
    old = sha256(only_file(locate("htdemucs")))
    server.files[MODEL] = b"another model"
    for _ in range(2):  # it stays refused
        with pytest.raises(CheckpointError) as caught:
            locate("htdemucs")
        message = str(caught.value)
        assert f"hf://{MODEL}" in message
        assert f"Expected the SHA-256 {old}, found " in message
        assert f"remove its entry from {records_file()}" in message
    known = records()
    del known[f"hf://{MODEL}"]
    records_file().write_text(json.dumps(known))
    assert only_file(locate("htdemucs")).read_bytes() == b"another model"


def test_without_a_checksum_of_the_hub_the_record_decides(
    server: HubServer, tmp_path: Path
) -> None:
    server.behaviours[MODEL] = Behaviour(etag=MD5)
    path = only_file(locate("htdemucs"))
    assert cached(tmp_path, MD5)
    path.resolve().write_bytes(b"something else")
    with pytest.raises(CheckpointError, match="is not what it was when it was first used"):
        locate("htdemucs")
    assert not cached(tmp_path, MD5)  # or the next run would find it again
    assert only_file(locate("htdemucs")).read_bytes() == CONTENT


def test_a_cache_without_links(server: HubServer, tmp_path: Path) -> None:
    path = only_file(locate("htdemucs"))
    path.unlink()
    path.write_bytes(CONTENT)
    assert only_file(locate("htdemucs")) == path
    path.write_bytes(b"something else")
    with pytest.raises(CheckpointError, match="is not what it was when it was first used"):
        locate("htdemucs")
    assert not path.exists()
    assert only_file(locate("htdemucs")).read_bytes() == CONTENT


def test_a_cache_whose_blobs_are_shared_under_other_names(
    server: HubServer, tmp_path: Path
) -> None:
    """As huggingface_hub 2 has it for files of Xet: the blob is a link to one named otherwise."""
    path = only_file(locate("htdemucs"))
    blob = path.parent / os.readlink(path)
    shared = tmp_path / "hf" / "hub" / "blobs" / "ab" / ("ab" * 32)
    shared.parent.mkdir(parents=True)
    blob.rename(shared)
    blob.symlink_to(os.path.relpath(shared, blob.parent))
    assert only_file(locate("htdemucs")).read_bytes() == CONTENT
    shared.write_bytes(b"something else")
    with pytest.raises(CheckpointError, match="arrived damaged"):
        locate("htdemucs")
    assert not shared.exists()
    assert only_file(locate("htdemucs")).read_bytes() == CONTENT


def test_a_file_that_no_model_can_be_made_of_is_not_trusted(
    server: HubServer, tmp_path: Path
) -> None:
    for etag in (MD5, None):  # in the first case the file is removed, too
        server.behaviours[MODEL] = Behaviour(etag=etag)
        with pytest.raises(CheckpointError, match=r"955717e8\.safetensors: "):
            load_model("htdemucs")
        assert list(records()) == [f"hf://{YAML}"]
        assert not cached(tmp_path, MD5)
    server.files[MODEL] = b"a sound model"
    assert only_file(locate("htdemucs")).read_bytes() == b"a sound model"


def test_a_hostile_bag(server: HubServer) -> None:
    server.files[YAML] = b"models: ['../../955717e8']\n"
    with pytest.raises(CheckpointError, match=r"wanted the signature of a model"):
        locate("htdemucs")
    assert not records()
    server.files[YAML] = b"models: ['955717e8']\n"
    assert only_file(locate("htdemucs")).read_bytes() == CONTENT


def test_what_is_cached(server: HubServer) -> None:
    assert hub.cached(REPOSITORY, "955717e8.safetensors") is None
    path = only_file(locate("htdemucs"))
    server.log.clear()
    assert hub.cached(REPOSITORY, "955717e8.safetensors") == path
    assert hub.cached(REPOSITORY, "other.safetensors") is None
    assert not server.log
