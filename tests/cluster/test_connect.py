"""What is wrong with a cluster, a node, or the options, is said before any work."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demucs_tf.cli.main import main
from demucs_tf.cluster import connect as module
from demucs_tf.cluster.connect import PACKAGES, ConnectError, Node, Probed, check_node, connect
from tests.support.command import refused

NODE = Node("0", "other", {"CPU": 4})


@pytest.fixture
def port() -> Iterator[int]:
    """A port of this machine where something takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def error_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What is printed with exit status 1."""
    assert main(["separate", *arguments]) == 1
    [error] = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error: ")]
    return error


def test_without_ray(
    album: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    error = error_of(capsys, "album", "--ray")
    assert "not installed: pip install 'demucs-tf[cluster]', on every node" in error


def test_the_plain_command_needs_none_of_it(album: Path, repo: Path) -> None:
    code = (
        "import sys; sys.modules.update(ray=None, pyarrow=None); "
        "from demucs_tf.cli.main import main; sys.exit(main())"
    )
    arguments = ["separate", "album/a.wav", "-n", "tiny", "--repo", str(repo)]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert Path("separated/tiny/a/drums.wav").is_file()


def test_an_address_that_nobody_listens_at(port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    start = time.monotonic()
    with pytest.raises(ConnectError, match=r"no answer within 20 s \(.*refused\)\. Check the addr"):
        connect(f"127.0.0.1:{free}", 20)
    assert time.monotonic() - start < 5


def test_an_address_that_does_not_answer(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Left to itself, Ray waits for three minutes and ends the process."""
    monkeypatch.setattr(module, "_IMPORT", 0.5)
    start = time.monotonic()
    with pytest.raises(ConnectError, match=r"no answer within 0\.5 s \(it is no Ray cluster"):
        connect(f"127.0.0.1:{port}", 0.5)
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ray://host:10001", "ray job submit -- demucs-tf separate"),
        ("host", "expected HOST:PORT, auto or local"),
        ("host:port", "expected HOST:PORT, auto or local"),
        ("127.0.0.1:99999", "no answer within"),
    ],
)
def test_addresses_that_are_none(address: str, said: str) -> None:
    with pytest.raises(ConnectError, match=said):
        connect(address, 5)


def test_a_track_taken_for_the_address(album: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = error_of(capsys, "album/a.wav", "--ray", "album/b.flac")
    assert "expected an address, found a file: put --ray behind the tracks" in error


def test_another_version_of_the_cluster(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    said = "Version mismatch: The cluster was started with Ray: 2.0.0 Python: 3.9.1"
    monkeypatch.setattr(module, "_TRY", f"import sys; print({said!r}); sys.exit(3)")
    with pytest.raises(ConnectError, match="has another version of Ray or Python"):
        connect(f"127.0.0.1:{port}", 5)


@pytest.mark.parametrize("name", ["Python", *PACKAGES])
@pytest.mark.parametrize("there", ["0.0.1", None])
def test_a_node_with_other_versions(name: str, there: str | None) -> None:
    same: dict[str, Any] = dict.fromkeys(("Python", *PACKAGES), ("2.0", "2.0"))
    check_node(Probed(NODE, same, []))
    said = there or "is missing"
    with pytest.raises(
        ConnectError, match=f"other has other versions: {name} {said}, and 2.0 here"
    ):
        check_node(Probed(NODE, {**same, name: ("2.0", there)}, []))


def test_a_path_that_only_the_driver_sees() -> None:
    with pytest.raises(ConnectError, match="other does not see a/b, as this machine does"):
        check_node(Probed(NODE, {}, ["a/b"]))
    with pytest.raises(ConnectError, match="the node other does not answer: no answer within 3 s"):
        check_node(Probed(NODE, {}, [], "no answer within 3 s"))


def test_an_unreadable_manifest_and_a_folder_that_is_none(
    album: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Said before Ray is started."""
    part = Path("out/tiny/manifest.parquet/rows-000000000000-000000000001.parquet")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"no Parquet")
    error = error_of(capsys, "album", "-n", "tiny", "-o", "out", "--ray", "--resume")
    assert f"{part}: expected a file of this package's manifest, found other" in error
    Path("file").write_bytes(b"")
    error = error_of(capsys, "album", "-n", "tiny", "-o", "file", "--ray")
    assert "expected a folder to write to, found a file" in error
    error = error_of(capsys, "album", "-n", "tiny", "-o", "ftp.is.none://host/out", "--ray")
    assert "no store is known by ftp.is.none://" in error


def test_a_store_without_write_access(
    album: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", refuse)
    error = error_of(capsys, "album", "-n", "tiny", "-o", "memory://bucket/out", "--ray")
    assert "can't write it: Access Denied. Check the address, and whether it may be" in error


def test_two_runs_into_one_folder(album: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path("out/tiny/manifest.parquet")
    folder.mkdir(parents=True)
    code = (
        f"from filelock import FileLock; lock = FileLock({str(folder / '.lock')!r}); "
        "lock.acquire(); print(1, flush=True); input()"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"1\n"
        error = error_of(capsys, "album", "-n", "tiny", "-o", "out", "--ray")
        other.kill()
    assert "another run writes to it. Wait for it" in error


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["album", "--ray-actors", "2"], "--ray-actors goes with --ray, which is not there"),
        (["--tracks-from", "list.txt"], "--tracks-from goes with --ray, which is not there"),
        (["s3://bucket/a.wav"], "s3://bucket/a.wav: addresses go with --ray"),
        (["album", "-o", "gs://bucket"], "gs://bucket: addresses go with --ray"),
        (
            ["album", "--ray", "--report", "r.json"],
            "--report is not there with --ray: the manifest",
        ),
        (
            ["album", "--ray", "--column", "path"],
            "--column is of a list of tracks: give the list with --tracks-from.",
        ),
        (["album", "--ray", "--ray-actors", "0"], "ray_actors must be 1 or more, got 0"),
    ],
)
def test_options_that_do_not_go_together(
    arguments: list[str], said: str, album: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = [word for word in arguments if word.startswith(("album", "s3", "--tracks"))]
    assert name
    assert said in refused(capsys, *arguments)
