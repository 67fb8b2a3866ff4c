"""A server on loopback that answers as the Hugging Face hub and as the legacy host do.

It can be told to misbehave, file by file.
"""

from __future__ import annotations

import hashlib
import http.server
import re
import socketserver
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

_HUB = re.compile(r"/([^/]+/[^/]+)/resolve/main/([^/]+)")


@dataclass
class Behaviour:
    """How a file is sent.

    Attributes:
        status: 200, or the error that is answered instead.
        cut: the connection is closed in the middle of the body, so many times.
        corrupt: the bytes are wrong, their number is right.
        pause: seconds of waiting in the middle of the body.
        etag: what is answered as ETag, without quotes; None: what the hub answers.
    """

    status: int = 200
    cut: int = 0
    corrupt: bool = False
    pause: float = 0.0
    etag: str | None = None


@dataclass
class HubServer:
    """What the server has, and what it was asked.

    Attributes:
        url: its address, without a slash at the end.
        files: "NAMESPACE/REPOSITORY/FILE" for the hub, "FOLDER/FILE" for the legacy host.
        behaviours: for some of the files.
        log: "METHOD PATH" of each request.
    """

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def commit(self, repository: str) -> str:
        """The newest commit of a repository: another one when a file has changed."""
        files = sorted(item for item in self.files.items() if item[0].startswith(f"{repository}/"))
        return hashlib.sha1(repr(files).encode()).hexdigest()

    def downloads(self) -> list[str]:
        """The files whose bodies were asked for."""
        return [line.rpartition("/")[2] for line in self.log if line.startswith("GET /body/")]


@contextmanager
def hub_server() -> Iterator[HubServer]:
    """A running server; it stops when the block ends."""

    class Handler(_Handler):
        server_state: HubServer

    with _Server(("127.0.0.1", 0), Handler) as server:
        state = Handler.server_state = HubServer(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield state
        finally:
            state.closing.set()
            server.shutdown()
            thread.join()


@contextmanager
def loopback(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[HubServer]:
    """A server that stands for the hub and the legacy host, with empty caches in `folder`.

    No retry waits: `time.sleep` returns at once.
    """
    with hub_server() as server, _own_huggingface_hub():
        for name, value in environment(server, folder).items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.delenv("HF_HUB_CACHE", raising=False)
        monkeypatch.setattr("time.sleep", lambda _: None)
        yield server


def environment(server: HubServer, folder: Path) -> dict[str, str]:
    """What huggingface_hub and we read from the environment."""
    return {
        "HF_ENDPOINT": server.url,
        "HF_HOME": str(folder / "hf"),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DEMUCS_TF_CACHE": str(folder / "ours"),
        "DEMUCS_TF_LEGACY_URL": server.url,
        "NO_PROXY": "*",
    }


def forget_huggingface_hub() -> None:
    """Have huggingface_hub read its environment again when it is next imported."""
    hub = sys.modules.get("huggingface_hub")
    if hub is not None and hasattr(hub, "close_session"):
        hub.close_session()
    for name in [name for name in sys.modules if name.partition(".")[0] == "huggingface_hub"]:
        del sys.modules[name]


@contextmanager
def _own_huggingface_hub() -> Iterator[None]:
    """Leave whatever is imported of huggingface_hub as it was."""
    saved = {n: m for n, m in sys.modules.items() if n.partition(".")[0] == "huggingface_hub"}
    forget_huggingface_hub()
    try:
        yield
    finally:
        forget_huggingface_hub()
        sys.modules.update(saved)


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is no news."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_state: HubServer

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""

    def answer(self) -> None:
        state = self.server_state
        state.log.append(f"{self.command} {self.path}")
        if hub := _HUB.fullmatch(self.path):
            self.answer_as_hub(*hub.groups())
        else:  # the legacy host, or where the hub sends one for a large file
            name = self.path.removeprefix("/body/").lstrip("/")
            self.send(name, {})

    def answer_as_hub(self, repository: str, file: str) -> None:
        state, name = self.server_state, f"{repository}/{file}"
        if not any(other.startswith(f"{repository}/") for other in state.files):
            self.fail(404, "RepoNotFound")
            return
        if name not in state.files:
            self.fail(404, "EntryNotFound")
            return
        content, behaviour = state.files[name], state.behaviours.get(name, Behaviour())
        headers = {"X-Repo-Commit": state.commit(repository)}
        if file.endswith(".safetensors"):  # as git-lfs has it: elsewhere, named by its SHA-256
            etag = behaviour.etag or hashlib.sha256(content).hexdigest()
            headers["X-Linked-Etag"] = f'"{etag}"'
            headers["X-Linked-Size"] = str(len(content))
            # Another host by name, as the hub's is: huggingface_hub looks no further on its own.
            headers["Location"] = f"{state.url.replace('127.0.0.1', 'localhost')}/body/{name}"
            if behaviour.status != 200 and self.command == "HEAD":
                self.fail(behaviour.status)
                return
            self.begin(302, headers, 0)
            return
        blob = b"blob %d\0" % len(content) + content
        headers["ETag"] = f'"{behaviour.etag or hashlib.sha1(blob).hexdigest()}"'
        self.send(name, headers)

    def send(self, name: str, headers: dict[str, str]) -> None:
        state = self.server_state
        behaviour = state.behaviours.get(name, Behaviour())
        if name not in state.files or behaviour.status != 200:
            self.fail(404 if name not in state.files else behaviour.status)
            return
        content = state.files[name]
        if behaviour.corrupt:
            content = content[:-1] + bytes([content[-1] ^ 1])
        start = 0
        if asked := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            start = int(asked[1])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self.begin(206 if asked else 200, headers, len(content) - start)
        if self.command == "HEAD":
            return
        middle = max(start, len(content) // 2)
        self.wfile.write(content[start:middle])
        if behaviour.cut:
            behaviour.cut -= 1
            self.close_connection = True
            return
        if behaviour.pause:
            self.wfile.flush()
            state.closing.wait(behaviour.pause)
        self.wfile.write(content[middle:])

    def fail(self, status: int, code: str = "") -> None:
        self.begin(status, {"X-Error-Code": code} if code else {}, 0)

    def begin(self, status: int, headers: dict[str, str], length: int) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()
