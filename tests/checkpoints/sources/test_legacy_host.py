"""Models from the legacy host, which is asked only on request: on loopback, sound and otherwise."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from demucs_tf.checkpoints.locate import Located, locate
from demucs_tf.checkpoints.sources import legacy_host
from demucs_tf.checkpoints.sources.downloads import records_file
from demucs_tf.checkpoints.sources.published import BAGS
from demucs_tf.errors import CheckpointError, ModelNotFoundError
from tests.support.hub_server import Behaviour, HubServer, loopback

CONTENT = bytes(range(256)) * 40  # no package: nothing here reads it


def legacy_name(signature: str, content: bytes) -> str:
    return f"folder/{signature}-{hashlib.sha256(content).hexdigest()[:8]}.th"


NAME = legacy_name("955717e8", CONTENT)


@pytest.fixture(name="server")
def _server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """The hub has nothing, the legacy host one model under the checksum that it has here."""
    with loopback(monkeypatch, tmp_path) as server:
        monkeypatch.setitem(legacy_host.LEGACY_FILES, "955717e8", NAME)
        server.files[NAME] = CONTENT
        yield server


def only_file(found: Located) -> Path:
    (file,) = found.files.values()
    return file.path


def ask() -> Path:
    return only_file(locate("htdemucs", allow_legacy=True))


def asked(server: HubServer) -> list[str]:
    return [line for line in server.log if line.endswith(".th")]


def test_it_is_not_asked_by_default(server: HubServer) -> None:
    with pytest.raises(ModelNotFoundError, match=r"--allow-legacy, allow_legacy=True"):
        locate("htdemucs")
    ask()
    server.log.clear()
    with pytest.raises(ModelNotFoundError):  # nor is what was fetched before used without asking
        locate("htdemucs")
    assert not asked(server)


def test_the_failure_of_the_hub_is_said_first(
    server: HubServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "demucs_tf")
    path = ask()
    assert path.read_bytes() == CONTENT
    assert path == tmp_path / "ours" / "legacy" / Path(NAME).name
    said = [r for r in caplog.records if r.name == "demucs_tf"]
    assert [record.levelname for record in said] == ["WARNING", "INFO"]
    hub = "hf://adefossez/HTDemucs/htdemucs.yaml"
    assert said[0].getMessage().startswith(f"{hub}: {server.url} does not have it")
    assert said[0].getMessage().endswith("Trying the legacy host.")
    assert said[1].getMessage() == f"{legacy_host.ROOT}{NAME} from {server.url}: {path}"


def test_a_signature_and_a_whole_bag(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert only_file(locate("955717e8", allow_legacy=True)).read_bytes() == CONTENT
    for signature in set(BAGS["repro_mdx_a_time_only"].models):
        content = signature.encode()
        monkeypatch.setitem(legacy_host.LEGACY_FILES, signature, legacy_name(signature, content))
        server.files[legacy_name(signature, content)] = content
    found = locate("repro_mdx_a_time_only", allow_legacy=True)
    assert found.bag == BAGS["repro_mdx_a_time_only"]
    assert {name: file.path.read_text() for name, file in found.files.items()} == {
        "9a6b4851": "9a6b4851",
        "1ef250f1": "1ef250f1",
    }


def test_the_second_use_is_from_the_cache(server: HubServer) -> None:
    ask()
    del server.files[NAME]
    assert ask().read_bytes() == CONTENT
    assert asked(server) == [f"GET /{NAME}"]
    # Known by the address of the host, whichever mirror gave it.
    address, digest = f"{legacy_host.ROOT}{NAME}", hashlib.sha256(CONTENT).hexdigest()
    assert json.loads(records_file().read_text()) == {address: digest}


def test_the_usual_address(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(legacy_host.URL_VARIABLE)
    urls = []

    def fetch(url: str, path: Path) -> Path:
        urls.append(url)
        path.parent.mkdir(parents=True)
        path.write_bytes(CONTENT)
        return path

    monkeypatch.setattr(legacy_host, "_fetch", fetch)
    ask()
    assert urls == [f"https://dl.fbaipublicfiles.com/demucs/{NAME}"]


def test_nothing_is_printed(
    server: HubServer, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import pooch

    said: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    # In place of the one that prints.
    monkeypatch.setattr(pooch.get_logger(), "handlers", [Handler()])
    pooch.get_logger().info("before")
    only_file(locate("955717e8", allow_legacy=True))
    pooch.get_logger().info("after")
    assert said == ["before", "after"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("behaviour", "kind", "match"),
    [
        (Behaviour(status=404), ModelNotFoundError, "does not give it .*404"),
        (Behaviour(status=403), ModelNotFoundError, "does not give it .*403"),
        (Behaviour(status=500), ModelNotFoundError, "does not give it .*500"),
        (Behaviour(cut=9), CheckpointError, "the download failed"),
        (Behaviour(corrupt=True), CheckpointError, "expected a file whose SHA-256 starts with"),
        (Behaviour(pause=60), ModelNotFoundError, "can't be reached .*timed out"),
    ],
)
def test_what_goes_wrong_leaves_nothing(
    server: HubServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    behaviour: Behaviour,
    kind: type[Exception],
    match: str,
) -> None:
    monkeypatch.setattr(legacy_host, "_READ_SECONDS", 0.3)
    server.behaviours[NAME] = behaviour
    with pytest.raises(kind, match=match) as caught:
        ask()
    assert type(caught.value) is kind
    assert "hf://adefossez/HTDemucs/htdemucs.yaml" in str(caught.value)  # every source is named
    assert f"{server.url}/{NAME}" in str(caught.value)
    assert not list((tmp_path / "ours").rglob("*.th"))
    assert not list((tmp_path / "ours").rglob("tmp*"))
    server.behaviours.clear()
    assert ask().read_bytes() == CONTENT


def test_a_slow_host_is_waited_for(server: HubServer) -> None:
    server.behaviours[NAME] = Behaviour(pause=0.3)
    assert ask().read_bytes() == CONTENT


def test_no_host(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(legacy_host.URL_VARIABLE, "http://127.0.0.1:1/")
    with pytest.raises(ModelNotFoundError, match=r"http://127\.0\.0\.1:1/folder.*can't be reached"):
        ask()
    monkeypatch.setenv(legacy_host.URL_VARIABLE, "no address")
    with pytest.raises(CheckpointError, match=r"no address/folder.*the download failed"):
        ask()


def test_a_file_that_changed_in_the_cache(server: HubServer) -> None:
    ask().write_bytes(b"something else")
    with pytest.raises(CheckpointError, match="It was removed"):
        ask()
    assert ask().read_bytes() == CONTENT


def test_a_folder_that_nothing_can_be_written_to(
    server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a file").write_text("")
    monkeypatch.setenv("DEMUCS_TF_CACHE", str(tmp_path / "a file"))
    with pytest.raises(CheckpointError, match="the download failed"):
        ask()
